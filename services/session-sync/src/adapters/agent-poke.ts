import type { agentV1 } from '@skein/contracts';
import { type RpcClient, rootContext } from '@skein/rpc';
import type { Logger } from '@skein/telemetry';
import type { QueuedTurn } from '../app/messages.ts';

/** How long a poke may take; the event that says the same is on its way anyway. */
const timeoutMs = 2_000;
/** Pokes under way. While the agent is slow or away the rest is left to the events. */
const maxInFlight = 100;

/** Tells the agent of a turn, at most once and without waiting. */
export const agentPoke = (
  client: Pick<RpcClient<typeof agentV1.AgentServiceService>, 'startTurn'>,
  log: Logger,
): ((turn: QueuedTurn) => void) => {
  let inFlight = 0;
  return ({ correlationId, ...turn }) => {
    if (inFlight >= maxInFlight) return;
    inFlight += 1;
    client
      .startTurn(turn, rootContext({ timeoutMs, correlationId }))
      .catch((error: unknown) =>
        log.debug({ err: error, turn: turn.turnId }, 'the agent was not told at once'),
      )
      .finally(() => {
        inFlight -= 1;
      });
  };
};
