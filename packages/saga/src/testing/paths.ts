import { AppError } from '@skein/contracts';
import type { SagaDefinition, Step } from '../definition.ts';

/** A way a saga can go: what its participants answer, whatever becomes of the orchestrator. */
export interface Path {
  readonly name: string;
  readonly endsAs: 'done' | 'compensated';
  readonly definition: SagaDefinition;
}

const withStep = (
  definition: SagaDefinition,
  name: string,
  change: (step: Step) => Partial<Step>,
): SagaDefinition => ({
  ...definition,
  steps: definition.steps.map((step) => (step.name === name ? { ...step, ...change(step) } : step)),
});

const lost = (): AppError => new AppError('unavailable', 'The answer was lost');

/** Nothing of a crash test waits: attempts come at once, and few. */
const hurried = (definition: SagaDefinition): SagaDefinition => ({
  ...definition,
  steps: definition.steps.map((step) => ({
    ...step,
    retry: { immediate: 3, attempts: 3, baseMs: 1, capMs: 1 },
  })),
});

/** The participant says no, having done nothing. */
const refusedAt = (definition: SagaDefinition, { name }: Step): Path => ({
  name: `refused at ${name}`,
  endsAs: 'compensated',
  definition: withStep(definition, name, () => ({
    refuseOn: ['forbidden'],
    action: () => Promise.reject(new AppError('forbidden', 'Refused by the test')),
  })),
});

/** The participant acts every time, and nobody ever hears of it. */
const givenUpAt = (definition: SagaDefinition, { name }: Step): Path => ({
  name: `given up at ${name}`,
  endsAs: 'compensated',
  definition: withStep(definition, name, ({ action }) => ({
    onGivenUp: 'compensate',
    action: async (ctx) => {
      await action(ctx);
      throw lost();
    },
  })),
});

/** Each participant acts, and the answer to the first attempt is lost; the same for compensations. */
const answersLost = (definition: SagaDefinition): SagaDefinition => {
  const once =
    <Ctx extends { readonly attempt: number }>(act: (ctx: Ctx) => Promise<unknown>) =>
    async (ctx: Ctx) => {
      const result = await act(ctx);
      if (ctx.attempt === 1) throw lost();
      return result;
    };
  return {
    ...definition,
    steps: definition.steps.map((step) => ({
      ...step,
      action: once(step.action),
      compensate: step.compensate && (once(step.compensate) as Step['compensate']),
    })),
  };
};

/** Each request reaches its participant twice at the same time. */
const doubled = (definition: SagaDefinition): SagaDefinition => {
  const twice =
    <Ctx>(act: (ctx: Ctx) => Promise<unknown>) =>
    async (ctx: Ctx) =>
      (await Promise.all([act(ctx), act(ctx)]))[0];
  return {
    ...definition,
    steps: definition.steps.map((step) => ({
      ...step,
      action: twice(step.action),
      compensate: step.compensate && (twice(step.compensate) as Step['compensate']),
    })),
  };
};

/** The same path with a network that loses answers, and with one that doubles requests. */
export const onBadNetworks = (path: Path): Path[] => [
  { ...path, name: `${path.name}, answers lost`, definition: answersLost(path.definition) },
  { ...path, name: `${path.name}, requests doubled`, definition: doubled(path.definition) },
];

/** Every way a saga can go: through, and back from each step that can be refused or whose outcome can be unknown. */
export const pathsOf = (given: SagaDefinition): Path[] => {
  const definition = hurried(given);
  // Without a code to refuse by, whatever is thrown is an unknown outcome.
  const refusable = definition.steps.filter(
    ({ kind, refuseOn }) => kind !== 'retriable' && refuseOn.length > 0,
  );
  const doubtful = definition.steps.filter(({ kind }) => kind === 'compensatable');
  return [
    { name: 'straight through', endsAs: 'done', definition },
    ...refusable.map((step) => refusedAt(definition, step)),
    ...doubtful.map((step) => givenUpAt(definition, step)),
  ];
};
