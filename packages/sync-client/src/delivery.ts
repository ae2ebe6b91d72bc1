import {
  interrupted,
  mark,
  nextToSend,
  type Outbox,
  type OutboxEntry,
  remove,
  resolveDraft,
} from './outbox.ts';
import type { Clock } from './ports.ts';
import { type CommandError, type Requests, readAccepted } from './requests.ts';
import { jitteredMs } from './retry.ts';

/** What the delivery of messages needs from outside. */
export interface DeliveryDeps {
  readonly clock: Pick<Clock, 'after'>;
  /** In [0, 1). */
  readonly random: () => number;
  readonly requests: Pick<Requests, 'ask'>;
  readonly live: () => boolean;
  /** The space that messages go to. */
  readonly here: () => string;
  /** How far its log is applied here. */
  readonly reached: () => number;
  readonly read: () => Outbox;
  readonly write: (outbox: Outbox) => void;
  /** Makes a conversation; the same `key` makes it once. Gives its id. */
  readonly createConversation: (space: string, title: string, key: string) => Promise<string>;
  /** The conversation a draft stood for has been made. */
  readonly onDraft: (draft: string, conversationId: string) => void;
}

/** Messages on their way to the server. */
export interface Delivery {
  /** Sends what waits, one after the other: order is worth more than a round trip. */
  flush(): void;
  /** Nothing is sent again by itself. */
  stop(): void;
}

/** Sends the outbox: oldest first, again under the same id after a loss, as late as the server says. */
export function createDelivery(deps: DeliveryDeps): Delivery {
  let attempt = 0;
  let cancelResend: (() => void) | undefined;

  function flush(): void {
    const entry = deps.live() ? nextToSend(deps.read()) : undefined;
    if (entry === undefined || cancelResend !== undefined) return;
    deps.write(mark(deps.read(), entry.clientMessageId, 'sending'));
    deliver(entry).then(
      () => {
        attempt = 0;
        flush();
      },
      (error: unknown) => {
        undelivered(entry, error);
        flush();
      },
    );
  }

  async function deliver({ clientMessageId, target, text }: OutboxEntry): Promise<void> {
    const conversationId = 'draft' in target ? await make(target.draft, target.title) : target.conversationId;
    const command = { type: 'message', space: deps.here(), conversationId, clientMessageId, text };
    const { offset } = readAccepted(await deps.requests.ask(command));
    // Its event may have come first and taken the entry away; then there is nothing left to mark. Behind a snapshot
    // that has it already the event will not come at all.
    deps.write(
      offset > 0 && offset <= deps.reached()
        ? remove(deps.read(), clientMessageId)
        : mark(deps.read(), clientMessageId, 'sent'),
    );
  }

  async function make(draft: string, title: string): Promise<string> {
    const id = await deps.createConversation(deps.here(), title, draft);
    deps.write(resolveDraft(deps.read(), draft, id));
    deps.onDraft(draft, id);
    return id;
  }

  function undelivered(entry: OutboxEntry, error: unknown): void {
    const { code = 'internal', retryable = false, retryAfterMs } = error as Partial<CommandError>;
    if (!retryable) {
      deps.write(mark(deps.read(), entry.clientMessageId, 'failed', code));
      return;
    }
    deps.write(interrupted(deps.read()));
    cancelResend = deps.clock.after(retryAfterMs ?? 250 + jitteredMs(attempt++, deps.random()), () => {
      cancelResend = undefined;
      flush();
    });
  }

  return {
    flush,
    stop: () => {
      cancelResend?.();
      cancelResend = undefined;
    },
  };
}
