import { AppError } from '@skein/contracts';

/** Whether a step is done or taken back. */
export type Direction = 'do' | 'undo';

/** The idempotency key of a step: the same in every attempt. */
export const stepKey = (sagaId: string, step: string, direction: Direction): string =>
  `${sagaId}:${step}:${direction}`;

const shape = /^([0-9a-f-]{36}:[A-Za-z0-9]{1,64}):(do|undo)$/;

/** `saga:step` of a key of either direction; `invalid_request` for anything else. */
export const stepOfKey = (key: string | undefined): string => {
  const [, step] = shape.exec(key ?? '') ?? [];
  if (step === undefined)
    throw new AppError(
      'invalid_request',
      'This call is a step of a saga: its idempotency key must be that of the step, saga:step:do or saga:step:undo',
    );
  return step;
};
