import { agentV1 } from '@skein/contracts';
import { type Implementation, implement } from '@skein/rpc';
import { currentTraceparent } from '@skein/telemetry';
import type { Turns } from '../app/turns.ts';
import { personas } from '../domain/persona.ts';

/** The gRPC face of the agent: decode, one use case, encode. */
export const agentHandlers = (turns: Turns): Implementation =>
  implement(
    agentV1.AgentServiceService,
    {
      startTurn: async (request) => {
        await turns.takeUp({
          id: request.turnId,
          space: request.space,
          conversationId: request.conversationId,
          questionId: request.messageId,
          userId: request.userId,
          persona: request.persona,
          traceparent: currentTraceparent(),
        });
        return {};
      },
      getTurn: async (request, ctx) => {
        const {
          questionId: _,
          userId: __,
          persona: ___,
          traceparent: ____,
          ...turn
        } = await turns.get(request.turnId, ctx);
        return { turn };
      },
      cancelTurn: async (request, ctx) => ({ state: await turns.cancel(request.turnId, ctx) }),
      listPersonas: async () => ({
        items: personas.map(({ id, name, description }) => ({ id, name, description })),
      }),
    },
    {
      allow: {
        startTurn: ['session-sync'],
        getTurn: ['gateway'],
        cancelTurn: ['gateway'],
        listPersonas: ['gateway'],
      },
    },
  );
