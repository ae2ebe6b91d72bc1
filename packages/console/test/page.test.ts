import { apply, conversation, eventFrame, fresh, space, tokenFrame } from '@skein/sync-client/testing';
import { describe, expect, it } from 'vitest';
import { deviceName } from '../src/browser.ts';
import { en, type MessageKey } from '../src/i18n/en.ts';
import { catalogues, chooseLocale, explain, translate } from '../src/i18n/translate.ts';
import { keyAction, personaAsked, sessionSettings, shownOutbox, titleOf } from '../src/stores/views.ts';

const key = (over: Partial<Parameters<typeof keyAction>[0]>) =>
  keyAction({ key: 'Enter', shiftKey: false, isComposing: false, keyCode: 13, ...over });

describe('the message box', () => {
  it('sends on Enter, breaks the line on Shift+Enter and stops on Esc', () => {
    expect(key({})).toBe('send');
    expect(key({ shiftKey: true })).toBeUndefined();
    expect(key({ key: 'Escape', keyCode: 27 })).toBe('stop');
    expect(key({ key: 'a', keyCode: 65 })).toBeUndefined();
  });

  it('leaves Enter and Esc to the input method while it composes', () => {
    expect(key({ isComposing: true })).toBeUndefined();
    expect(key({ keyCode: 229 })).toBeUndefined();
    expect(key({ key: 'Escape', isComposing: true })).toBeUndefined();
  });
});

describe('texts', () => {
  const placeholders = (text: string) => (text.match(/\{\w+\}/g) ?? []).toSorted();

  it.each(Object.keys(catalogues) as (keyof typeof catalogues)[])(
    'are complete in %s, with the same values to fill in',
    (locale) => {
      for (const id of Object.keys(en) as MessageKey[]) {
        expect(catalogues[locale][id], id).toMatch(/\S/);
        expect(placeholders(catalogues[locale][id]), id).toEqual(placeholders(en[id]));
      }
    },
  );

  it('fill in values', () => {
    expect(translate('en', 'linkWaiting', { seconds: 3 })).toBe('Reconnecting in 3 s');
  });

  it('follow the languages of the browser', () => {
    expect(chooseLocale(['fr', 'zh-TW', 'en'])).toBe('zh');
    expect(chooseLocale(['fr'])).toBe('en');
  });

  it('explain a known fault with the next step and an unknown one in the words of the server', () => {
    expect(explain('en', { code: 'rate_limited', retryAfterMs: 12_000 })).toBe(
      'Too many tries. Wait 12 s and try again.',
    );
    const unknown = { code: 'brand_new', detail: 'The moon is full.' };
    expect(explain('en', { ...unknown, retryable: true })).toBe(
      'That did not work: The moon is full. Try again.',
    );
    expect(explain('en', { ...unknown, retryable: false })).toBe('That did not work: The moon is full.');
  });
});

describe('what is shown', () => {
  it('titles a conversation by what was first said until it has a title', () => {
    const { state } = apply(
      [
        eventFrame(1, 'message.created', {
          messageId: 'm',
          conversationId: 'c1',
          role: 'user',
          text: 'Plan the trip\nsoon',
        }),
      ],
      fresh(),
    );
    expect(titleOf(conversation(state))).toBe('Plan the trip');
  });

  it('names who answers by the message that asked, when only tokens have come', () => {
    const asked = {
      messageId: 'm',
      conversationId: 'c1',
      role: 'user',
      text: 'x',
      turnId: 't1',
      persona: 'cruz',
    };
    const { state } = apply([eventFrame(1, 'message.created', asked), tokenFrame(0, 'Hi')], fresh());
    expect(personaAsked(conversation(state), 't1')).toBe('cruz');
    expect(personaAsked(conversation(state), 't2')).toBe('');
  });

  it('takes memory as on until somebody has switched it off', () => {
    const before = fresh().spaces[space];
    const after = apply([eventFrame(1, 'memory.toggled', { enabled: false })], fresh()).state.spaces[space];
    expect(before && sessionSettings(before).memoryEnabled).toBe(true);
    expect(after && sessionSettings(after).memoryEnabled).toBe(false);
  });

  it('puts waiting messages into the conversation they were written for', () => {
    const entry = { clientMessageId: 'a', text: 'a', queuedMs: 0, state: 'waiting' as const };
    const box = [
      { ...entry, target: { draft: 'd', title: '' } },
      { ...entry, target: { conversationId: 'c1' } },
    ];
    expect(shownOutbox(box, 'c1', 'd')).toEqual([box[1]]);
    expect(shownOutbox(box, undefined, 'd')).toEqual([box[0]]);
  });

  it('names a device the way people do', () => {
    expect(deviceName('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/147.0 Safari/537.36')).toBe(
      'Chrome, Linux',
    );
    expect(
      deviceName('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1'),
    ).toBe('Safari, iPhone');
  });
});
