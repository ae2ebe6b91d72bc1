import { dropPoints, pointsOf, takePoints } from './code-points.ts';
import type { Token } from './frame.ts';

/** Longest text that is kept of a running turn, in UTF-16 units; a longer answer is read with GET. */
const maxText = 1_000_000;

/** The text so far of one running turn, put together from tokens and from what the agent service has stored. */
export class TurnText {
  readonly turnId: string;
  messageId: string;
  conversationId: string;
  /** Whether everything from the first code point on is here. */
  whole: boolean;
  /** Whether the stored text has been asked for and is on its way. */
  loading = false;
  private text = '';
  private points = 0;

  constructor(turn: { turnId: string; messageId: string; conversationId: string }, whole: boolean) {
    this.turnId = turn.turnId;
    this.messageId = turn.messageId;
    this.conversationId = turn.conversationId;
    this.whole = whole;
  }

  /** Adds a token: the first `from` code points stay, the rest is replaced. False when something before it is missing. */
  add(token: Token): boolean {
    if (token.messageId !== '') this.messageId = token.messageId;
    if (token.from === 0) this.whole = true;
    else if (!this.whole || token.from > this.points) {
      this.whole = false;
      return false;
    }
    if (this.text.length + token.text.length > maxText) {
      this.whole = false;
      return true;
    }
    this.text =
      token.from === this.points ? this.text + token.text : takePoints(this.text, token.from) + token.text;
    this.points = token.from + pointsOf(token.text);
    return true;
  }

  /** Takes over what was stored, unless more is here already. True when it was news. */
  load(text: string): boolean {
    const points = pointsOf(text);
    if (text.length > maxText || (this.whole && points <= this.points)) return false;
    this.whole = true;
    this.text = text;
    this.points = points;
    return true;
  }

  /** The text from a code point on as one token; undefined when it is not whole. */
  since(from: number): Token | undefined {
    if (!this.whole) return undefined;
    const start = Math.min(from, this.points);
    return {
      turnId: this.turnId,
      messageId: this.messageId,
      conversationId: this.conversationId,
      from: start,
      text: start === 0 ? this.text : dropPoints(this.text, start),
    };
  }
}
