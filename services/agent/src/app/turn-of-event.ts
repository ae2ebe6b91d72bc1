import type { DomainEvent, DomainEventData } from '@skein/contracts';
import { defaultPersona } from '../domain/persona.ts';
import type { NewTurn } from './ports.ts';

/** The turn a message.created event asks for; undefined when it asks for none. */
export const turnOf = (event: DomainEvent): NewTurn | undefined => {
  const data = event.data as DomainEventData<'message.created'>;
  if (data.turnId === undefined) return undefined;
  return {
    id: data.turnId,
    space: data.space,
    conversationId: data.conversationId,
    questionId: data.messageId,
    userId: data.userId,
    persona: data.persona ?? defaultPersona,
    traceparent: event.traceparent,
  };
};
