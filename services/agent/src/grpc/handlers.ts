import { AppError, agentV1 } from '@skein/contracts';
import { type Implementation, implement } from '@skein/rpc';
import { currentTraceparent } from '@skein/telemetry';
import type { Erasures } from '../app/ports.ts';
import type { ProjectUseCases } from '../app/projects.ts';
import type { Turns } from '../app/turns.ts';
import { personas } from '../domain/persona.ts';

/** Turns one call may name. */
const maxForgotten = 1_000;

/** The gRPC face of the agent: decode, one use case, encode. */
export const agentHandlers = (
  turns: Turns,
  projects: ProjectUseCases,
  erasures: Pick<Erasures, 'forgetTurns'>,
): Implementation =>
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
      forgetTurns: async ({ turnIds }) => {
        if (turnIds.length > maxForgotten)
          throw new AppError('invalid_request', `At most ${maxForgotten} turns at once`);
        await erasures.forgetTurns(turnIds);
        return {};
      },
      listPersonas: async () => ({
        items: personas.map(({ id, name, description }) => ({ id, name, description })),
      }),
      startProject: (request, ctx) => projects.start(request, ctx),
      cancelProject: async ({ projectId }, ctx) => ({ state: await projects.cancel(projectId, ctx) }),
    },
    {
      allow: {
        startTurn: ['session-sync'],
        getTurn: ['gateway'],
        cancelTurn: ['gateway'],
        forgetTurns: ['session-sync'],
        listPersonas: ['gateway'],
        startProject: ['gateway'],
        cancelProject: ['gateway'],
      },
    },
  );
