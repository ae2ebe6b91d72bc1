import type { Code } from '@skein/contracts';
import type { CallContext } from '@skein/rpc';
import { defineSaga } from '@skein/saga/definition';
import { z } from 'zod';

const input = z.object({ user: z.string(), registeredAtMs: z.int() });

/** Who registered, and when; address and name stay with the account. */
export type RegistrationInput = z.infer<typeof input>;

/** What the steps need of others and of this service. All may be asked again. */
export interface RegistrationPorts {
  /** `not_found` when the account has been erased meanwhile. */
  makeProfile(user: string, call: CallContext): Promise<void>;
  makeSpace(user: string, call: CallContext): Promise<void>;
  /** Nothing of the person is left anywhere, and the address is free again. */
  takeBack(user: string, call: CallContext): Promise<void>;
  /** Tells everybody, once per key: notices and mails follow from it. */
  welcome(input: RegistrationInput, key: string, correlationId: string): Promise<void>;
}

/**
 * A service that is away takes nobody's account: a step is tried for some eight hours, and then waits for an
 * operator. Meanwhile profile and space are made where they are first asked for.
 */
const patient = {
  retry: { immediate: 3, attempts: 1_000, capMs: 60_000 },
  onGivenUp: 'park',
} as const;

/**
 * An account that is gone, and nothing else: `forbidden` is also what a mesh answers while its rules are wrong or only
 * half rolled out, and passes.
 */
const refuseOn: readonly Code[] = ['not_found'];

/** Goes with the account: the first touch may have made it although this step never came. */
const withAccount = async (): Promise<void> => {};

/**
 * Registers a person whose credentials are there already: profile, personal space, and word of it to everybody. When
 * the account is gone, or an operator cancels it, the person is erased everywhere.
 */
export const registerUser = (ports: RegistrationPorts) =>
  defineSaga({ name: 'register-user', version: 1, input })
    .compensatable('account', {
      // It came with the saga.
      action: async () => {},
      compensate: ({ input: { user }, call }) => ports.takeBack(user, call),
    })
    .compensatable('profile', {
      ...patient,
      refuseOn,
      action: ({ input: { user }, call }) => ports.makeProfile(user, call),
      compensate: withAccount,
    })
    .compensatable('space', {
      ...patient,
      refuseOn,
      action: ({ input: { user }, call }) => ports.makeSpace(user, call),
      compensate: withAccount,
    })
    .retriable('welcome', {
      retry: patient.retry,
      action: (ctx) => ports.welcome(ctx.input, ctx.key, ctx.call.correlationId),
    });
