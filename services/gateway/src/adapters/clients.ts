import {
  agentV1,
  authV1,
  configV1,
  eventsV1,
  healthRecordV1,
  identityV1,
  sagaV1,
  syncV1,
  userV1,
} from '@skein/contracts';
import type { Platform } from '@skein/platform';
import type { Clients, ConfigAdmins, EventAdmins, HealthRecords, Identities, SagaClients } from '../ports.ts';

/**
 * The services behind, found by discovery. Named as retryable is what has the same effect when it runs twice:
 * reads, settings, and what the owner de-duplicates by an id of the client (messages, mutations).
 */
export const openClients = (platform: Pick<Platform, 'client'>): Clients => ({
  auth: platform.client(authV1.AuthServiceService, 'auth', {
    retryable: ['getJwks', 'checkSessions', 'listApiTokens', 'listSessions', 'revokeDevice'],
  }),
  user: platform.client(userV1.UserServiceService, 'user', {
    retryable: ['getProfile', 'updateProfile', 'listNotices', 'eraseMe', 'eraseUser'],
  }),
  sync: platform.client(syncV1.SyncServiceService, 'session-sync', {
    retryable: [
      'openSession',
      'listSpaces',
      'getSpace',
      'listMembers',
      'readEvents',
      'listConversations',
      'listMessages',
      'appendMessage',
      'mutate',
      'listDocuments',
      'getDocument',
      'compareDocuments',
      'changeSession',
      'registerPlatform',
      'ackDevice',
      'listDevices',
      'removeDevice',
      'readClassic',
    ],
    carried: { mutate: 'streamMutate' },
  }),
  agent: platform.client(agentV1.AgentServiceService, 'agent', { retryable: ['getTurn', 'listPersonas'] }),
});

/** Services with a database of their own, and so with domain events to look after. */
const withEvents = ['agent', 'auth', 'session-sync', 'user'];

/** The care of domain events in every service that has them. */
export const openEventAdmins = (platform: Pick<Platform, 'client'>): EventAdmins =>
  Object.fromEntries(
    withEvents.map((service) => [
      service,
      platform.client(eventsV1.EventAdminServiceService, service, {
        retryable: ['listDeadLetters', 'replayEvents'],
      }),
    ]),
  );

/** Services that tell their settings; our own are known here. */
const withConfig = ['agent', 'auth', 'session-sync', 'user'];

/** The settings of every other service. */
export const openConfigAdmins = (platform: Pick<Platform, 'client'>): ConfigAdmins =>
  Object.fromEntries(
    withConfig.map((service) => [
      service,
      platform.client(configV1.ConfigAdminServiceService, service, { retryable: ['getConfig'] }),
    ]),
  );

/** Health records of session-sync. */
export const openHealthRecords = (platform: Pick<Platform, 'client'>): HealthRecords =>
  platform.client(healthRecordV1.HealthRecordServiceService, 'session-sync', { retryable: ['verifyLedger'] });

/** Identities of user. */
export const openIdentities = (platform: Pick<Platform, 'client'>): Identities =>
  platform.client(identityV1.IdentityServiceService, 'user', { retryable: ['listIdentities'] });

/** Services that run sagas. */
const withSagas = ['agent', 'auth', 'session-sync', 'user'];

/** The sagas of every service that runs some. */
export const openSagas = (platform: Pick<Platform, 'client'>): SagaClients =>
  Object.fromEntries(
    withSagas.map((service) => [
      service,
      platform.client(sagaV1.SagaServiceService, service, {
        retryable: ['listSagas', 'getSaga', 'getOwnSaga'],
      }),
    ]),
  );
