import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { defineSaga, type SagaDefinition } from '../src/index.ts';

const head = { name: 'order', version: 1, input: z.object({ user: z.string() }) };
const id = z.object({ id: z.string() });
const nothing = async () => {};
const undoable = { action: nothing, compensate: nothing };

describe('what compiles', () => {
  it('is compensatable steps, one pivot, retriable steps, in this order', () => {
    const whole = defineSaga(head)
      .compensatable('reserve', undoable)
      .compensatable('hold', undoable)
      .pivot('charge', { action: nothing })
      .retriable('ship', { action: nothing })
      .retriable('tell', { action: nothing });
    expect(whole.steps.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'reserve compensatable',
      'hold compensatable',
      'charge pivot',
      'ship retriable',
      'tell retriable',
    ]);
  });

  it('is not a compensatable step behind the pivot', () => {
    const passed = defineSaga(head).pivot('charge', { action: nothing });
    // @ts-expect-error the pivot cannot be taken back, so nothing behind it may need that
    expect(() => passed.compensatable('late', undoable)).toThrow(TypeError);
  });

  it('is not a second pivot, and not a pivot behind a retriable step', () => {
    const passed = defineSaga(head).pivot('charge', { action: nothing });
    // @ts-expect-error one point of no return
    expect(() => passed.pivot('again', { action: nothing })).toThrow(TypeError);
    const sure = defineSaga(head).retriable('ship', { action: nothing });
    // @ts-expect-error what must succeed comes last
    expect(() => sure.pivot('charge', { action: nothing })).toThrow(TypeError);
    // @ts-expect-error what must succeed comes last
    expect(() => sure.compensatable('reserve', undoable)).toThrow(TypeError);
  });

  it('is not a compensatable step without its compensation', () => {
    // @ts-expect-error compensate is missing
    defineSaga(head).compensatable('reserve', { action: nothing });
  });

  it('is not a step that must succeed and may be refused', () => {
    // @ts-expect-error a retriable step has no refusal
    defineSaga(head).retriable('ship', { action: nothing, refuseOn: ['not_found'] });
  });

  it('is not a name that another step has', () => {
    const first = defineSaga(head).retriable('ship', { action: nothing });
    // @ts-expect-error the name is taken
    expect(() => first.retriable('ship', { action: nothing })).toThrow('two steps "ship"');
  });

  it('knows what earlier steps gave, by name', () => {
    const typed = defineSaga(head)
      .compensatable('reserve', {
        output: id,
        action: async ({ input }) => ({ id: input.user }),
        compensate: async ({ output }) => {
          expectTypeOf(output).toEqualTypeOf<{ id: string } | undefined>();
        },
      })
      .retriable('ship', {
        action: async ({ results, input }) => {
          expectTypeOf(results.reserve).toEqualTypeOf<{ id: string }>();
          expectTypeOf(input).toEqualTypeOf<{ user: string }>();
          // @ts-expect-error no step of this name came before
          void results.charge;
        },
      });
    expectTypeOf(typed).toExtend<SagaDefinition<{ user: string }, { reserve: { id: string } }>>();
  });

  it('is not an output that is not what the schema says, nor one that JSON would change', () => {
    // @ts-expect-error a number where the schema has an object
    defineSaga(head).retriable('ship', { output: id, action: async () => 1 });
    // @ts-expect-error a Date comes back from the journal as a text
    defineSaga(head).retriable('ship', { output: z.date(), action: async () => new Date(0) });
  });
});

describe('what is refused when it is defined', () => {
  it.each([
    ['a name that is not kebab case', () => defineSaga({ ...head, name: 'Order' }), 'kebab case'],
    ['a version below 1', () => defineSaga({ ...head, version: 0 }), '1 or more'],
    [
      'a step whose name is not camel case',
      () => defineSaga(head).retriable('a b', { action: nothing }),
      'camel case',
    ],
    [
      'an input with a secret',
      () => defineSaga({ ...head, input: z.object({ login: z.object({ password: z.string() }) }) }),
      'the field "password"',
    ],
    [
      'an output with a secret in a list',
      () =>
        defineSaga(head).retriable('sign', {
          output: z.object({ all: z.array(z.object({ accessToken: z.string() })) }),
          action: async () => ({ all: [] }),
        }),
      'the field "accessToken"',
    ],
  ])('%s', (_, define, said) => {
    expect(define).toThrow(said);
  });

  it('more steps than one saga should have', () => {
    const all = (steps: number) =>
      Array.from({ length: steps }).reduce<ReturnType<typeof one>>(
        (so, _, at) => so.retriable(`step${at}` as string as never, { action: nothing }) as never,
        one(),
      );
    const one = () => defineSaga(head).retriable('first', { action: nothing });
    expect(() => all(63)).not.toThrow();
    expect(() => all(64)).toThrow('more than 64 steps');
  });

  it('is not every name that only sounds like a secret', () => {
    const input = z.object({ tokens: z.number(), tokenId: z.string(), passed: z.boolean() });
    expect(() => defineSaga({ ...head, input })).not.toThrow();
  });
});
