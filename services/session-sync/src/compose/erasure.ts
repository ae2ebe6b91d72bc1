import type { agentV1 } from '@skein/contracts';
import type { EventBus } from '@skein/events';
import type { RpcClient } from '@skein/rpc';
import { forgetSagas, type Sagas } from '@skein/saga';
import { nativeSha256 } from '../adapters/native-sha256.ts';
import { postgresErasures } from '../adapters/postgres-erasures.ts';
import { erasePerson } from '../app/erase-person.ts';
import type { Writer } from '../app/writer.ts';
import type { ErasePerson } from '../grpc/erasure.ts';
import type { Base } from './base.ts';

/** What erasing needs of the other parts. */
export interface ErasureNeeds {
  readonly writer: Writer;
  readonly bus: EventBus;
  readonly agent: Pick<RpcClient<typeof agentV1.AgentServiceService>, 'forgetTurns'>;
  readonly orchestrator: Sagas;
}

/** Turns that one call names. */
const turnsPerCall = 1_000;

/** Erasing a person from this service; its turns from the agent. */
export const erasureParts = (
  { database, ids, clock }: Base,
  { writer, bus, agent, orchestrator }: ErasureNeeds,
): ErasePerson => {
  const erasures = postgresErasures({
    ...{ database, bus, ids, sha256: nativeSha256 },
    forgetSagas: (subject) => forgetSagas(database, orchestrator, { subject, by: 'erase-user' }),
  });
  return (person, call) =>
    erasePerson({
      ...{ erasures, writer, clock },
      forgetTurns: async (turns) => {
        for (let from = 0; from < turns.length; from += turnsPerCall)
          await agent.forgetTurns({ turnIds: turns.slice(from, from + turnsPerCall) }, call);
      },
    })(person, call);
};
