import { apply, countingIds, eventFrame, FakeClock, fresh, tokenFrame } from '@skein/sync-client/testing';
import { describe, expect, it } from 'vitest';
import { shallowRef } from 'vue';
import { useDocuments } from '../src/stores/documents.ts';
import { createForks } from '../src/stores/forks.ts';
import { paced } from '../src/stores/paced.ts';
import { createSettings } from '../src/stores/settings.ts';

describe('the documents on the page', () => {
  it('are the same while an answer streams, and others once one has changed', () => {
    const changed = { collection: 'task', id: 'a', version: 1, hash: 'h', value: { title: 'x' } };
    const state = shallowRef(apply([eventFrame(1, 'document.changed', changed)], fresh()).state);
    const documents = useDocuments(state);
    const before = documents.value;
    expect(Object.keys(before)).toHaveLength(1);
    state.value = apply([tokenFrame(0, 'Hi')], state.value).state;
    expect(documents.value).toBe(before);
    state.value = apply([eventFrame(2, 'document.changed', { ...changed, version: 2 })], state.value).state;
    expect(documents.value).not.toBe(before);
  });
});

describe('a pace', () => {
  it('runs at once, then once for all that was asked meanwhile, also when it is asked without pause', async () => {
    const clock = new FakeClock();
    const ran: number[] = [];
    const started = clock.now();
    const reading = paced(clock, () => ran.push(clock.now() - started));
    for (let ms = 0; ms < 3_000; ms += 100) {
      reading.ask(1_000);
      await clock.advance(100);
    }
    expect(ran).toEqual([0, 1_000, 2_000, 3_000]);
  });

  it('runs sooner when asked for sooner, and not at all when stopped', async () => {
    const clock = new FakeClock();
    let ran = 0;
    const reading = paced(clock, () => ran++);
    reading.ask(10_000);
    await clock.advance(0);
    reading.ask(10_000);
    reading.ask(1_000);
    reading.ask(10_000);
    await clock.advance(1_000);
    expect(ran).toBe(2);
    reading.ask(1_000);
    reading.stop();
    await clock.advance(60_000);
    expect([ran, clock.pending]).toEqual([2, 0]);
  });
});

describe('a fork', () => {
  it('is made once however often it is pressed, under one key until it is known to be made', async () => {
    const forks = createForks(countingIds());
    const keys: string[] = [];
    const held = Promise.withResolvers<void>();
    const first = forks.make('m1', async (key) => {
      keys.push(key);
      await held.promise;
    });
    await forks.make('m1', async (key) => void keys.push(key));
    expect([keys, forks.busy.value]).toEqual([['id-1'], true]);
    held.reject(new Error('the answer was lost'));
    await expect(first).rejects.toThrow('lost');
    await forks.make('m1', async (key) => void keys.push(key));
    await forks.make('m1', async (key) => void keys.push(key));
    expect([keys, forks.busy.value]).toEqual([['id-1', 'id-1', 'id-2'], false]);
  });
});

describe('settings', () => {
  it('that were chosen before the space is known stand over what comes, and are written then', () => {
    let known = false;
    const written: unknown[] = [];
    const settings = createSettings(
      () => known,
      (of, values) => written.push([of, values]),
    );
    settings.put('user_preferences', { theme: 'dark' });
    settings.put('user_preferences', { locale: 'zh' });
    expect(written).toEqual([]);
    expect(settings.over('user_preferences', { theme: 'light', other: 1 })).toEqual({
      ...{ theme: 'dark', locale: 'zh', other: 1 },
    });
    known = true;
    settings.known();
    settings.known();
    settings.put('session', { persona: 'cruz' });
    expect(written).toEqual([
      ['user_preferences', { theme: 'dark', locale: 'zh' }],
      ['session', { persona: 'cruz' }],
    ]);
  });
});
