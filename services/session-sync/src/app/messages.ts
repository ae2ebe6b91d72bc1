import { AppError } from '@skein/contracts';
import { type Appended, appendMessage } from '../domain/append-message.ts';
import { sessionDocument } from '../domain/session.ts';
import { once } from './once.ts';
import type { AppParts } from './parts.ts';
import { isId } from './personal-space.ts';
import type { Call } from './ports.ts';
import { byteLength, checkedJson, checkedText, nameBytes } from './validate.ts';
import type { Unit } from './writer.ts';

/** A person's message as asked for; empty texts are what was left out. */
export interface MessageToAppend {
  readonly space: string;
  readonly conversationId: string;
  readonly clientMessageId: string;
  readonly text: string;
  readonly persona: string;
  /** JSON text of an array. */
  readonly attachments: string;
  readonly reply: boolean;
}

/** A turn that waits to be taken up. */
export interface QueuedTurn {
  readonly turnId: string;
  readonly space: string;
  readonly conversationId: string;
  readonly messageId: string;
  readonly userId: string;
  readonly persona: string;
  readonly correlationId: string;
}

/** Largest message text. */
export const messageBytes = 64 * 1024;
/** Attachments are references, not files. */
const attachmentBytes = 16 * 1024;

/** The use case; `guard` makes its unit happen once in another way than by the call's idempotency key. */
export type AppendMessage = (
  call: Call,
  message: MessageToAppend,
  guard?: (unit: Unit<Appended>) => Unit<Appended>,
) => Promise<Appended>;

/** What appending is made of. */
type Parts = Pick<AppParts, 'ids' | 'names' | 'writer' | 'sha256'>;

/**
 * Appends a message and, when an answer is asked for, tells the agent at once. That is a short cut: the committed
 * event says the same and is delivered for certain.
 */
export const appendMessageUseCase =
  ({ ids, names, writer, sha256 }: Parts, poke: (turn: QueuedTurn) => void): AppendMessage =>
  async (call, message, guard) => {
    if (byteLength(message.text) > messageBytes)
      throw new AppError('too_large', `The text must be at most ${messageBytes} bytes long`);
    const text = checkedText('text', message.text, { max: messageBytes });
    const clientMessageId = checkedText('clientMessageId', message.clientMessageId, { max: nameBytes });
    const persona = checkedText('persona', message.persona, { min: 0, max: nameBytes });
    if (
      message.attachments !== '' &&
      !Array.isArray(checkedJson('attachments', message.attachments, attachmentBytes))
    )
      throw new AppError('invalid_request', 'attachments must be an array');
    if (message.conversationId !== '' && !isId(message.conversationId))
      throw new AppError('not_found', 'There is no such conversation');
    const space = await names.resolve(call.userId, message.space);
    const conversationId = message.conversationId || undefined;
    const command = {
      userId: call.userId,
      actor: { kind: 'user', user: call.userId, device: call.device?.id, platform: call.platform },
      conversationId,
      clientMessageId,
      text,
      persona: persona || undefined,
      attachments: message.attachments || undefined,
      reply: message.reply,
      ids: { message: ids.next(), conversation: ids.next(), turn: ids.next(), answer: ids.next() },
    } as const;
    const unit: Unit<Appended> = {
      space,
      needs: {
        members: [call.userId],
        clientMessage: { userId: call.userId, id: clientMessageId },
        conversation: conversationId,
        newestConversation: !conversationId,
        documents: [sessionDocument],
      },
      decide: (state, nowMs) => appendMessage(state, { ...command, nowMs }),
      // Once in the event and once in the row.
      bytes: 2 * (text.length + message.attachments.length),
      correlationId: call.correlationId,
      traceparent: call.traceparent,
    };
    const said = [space, message.conversationId, clientMessageId, text, persona, message.attachments];
    const body = [...said, message.reply];
    const guarded = guard ? guard(unit) : once(sha256, unit, call, 'AppendMessage', body);
    const appended = await writer.write(guarded, call.signal);
    // Also for a repetition: the first poke may have been lost with its process.
    if (appended.turnId)
      poke({
        turnId: appended.turnId,
        space,
        conversationId: appended.conversationId,
        messageId: appended.messageId,
        userId: call.userId,
        persona: appended.persona,
        correlationId: call.correlationId,
      });
    return appended;
  };
