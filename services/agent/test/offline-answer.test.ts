import { describe, expect, it } from 'vitest';
import { matching, terms } from '../src/domain/matching.ts';
import { offlineAnswer, pieces } from '../src/domain/offline-answer.ts';

const material = { personaName: 'CRUZ', question: 'Where are my keys?', found: [], notes: [], memory: true };

describe('the offline answerer', () => {
  it('says that it is offline and what to set up', () => {
    const answer = offlineAnswer(material);
    expect(answer).toContain('offline');
    expect(answer).toContain('AGENT_MODEL_URL');
    expect(answer).toContain('found nothing about “Where are my keys?”');
  });

  it('quotes what it used, with its day', () => {
    const found = [{ text: 'I put the keys into the blue bowl', timeMs: Date.UTC(2026, 4, 17) }];
    expect(offlineAnswer({ ...material, found })).toContain(
      'On 2026-05-17 you wrote:\n> I put the keys into the blue bowl',
    );
  });

  it('answers a Chinese question in Chinese', () => {
    const found = [{ text: '钥匙在蓝色的碗里', timeMs: Date.UTC(2026, 4, 17) }];
    const answer = offlineAnswer({ ...material, question: '我的钥匙在哪里？', found });
    expect(answer).toContain('2026-05-17 你写道：\n> 钥匙在蓝色的碗里');
  });

  it('says when the memory switch kept it from looking further', () => {
    expect(offlineAnswer({ ...material, memory: false })).toContain('memory switch is off');
  });

  it('is streamed in pieces that make the same text', () => {
    const answer = offlineAnswer({ ...material, question: '钥匙 keys 😀' });
    expect(pieces(answer).join('')).toBe(answer);
    expect(pieces(answer).length).toBeGreaterThan(20);
  });
});

describe('matching', () => {
  it('finds Chinese by neighbouring characters', () => {
    const items = [{ text: '今天去超市买牛奶' }, { text: '钥匙在蓝色的碗里' }];
    expect(matching('我的钥匙在哪里', items, 5)).toEqual([{ text: '钥匙在蓝色的碗里' }]);
  });

  it('puts what shares most first and leaves out what shares nothing', () => {
    const items = [{ text: 'blue' }, { text: 'blue bowl keys' }, { text: 'milk' }];
    expect(matching('keys blue bowl', items, 5).map((item) => item.text)).toEqual(['blue bowl keys', 'blue']);
  });

  it('bounds the terms of a long text', () => {
    expect(
      terms('字'.repeat(10).concat([...Array(5_000).keys()].map((n) => `word${n}`).join(' '))).size,
    ).toBeLessThan(250);
  });
});
