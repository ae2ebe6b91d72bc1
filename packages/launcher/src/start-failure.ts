import { gist } from './log-view.ts';
import { exitConfig, ProcessEndedError } from './supervised-process.ts';

/** Services that did not start, each fault once, with the names of those who found it. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
  /** Whether a setting is wrong, which starting again does not help. */
  readonly misconfigured: boolean;
  constructor(message: string, misconfigured: boolean, options: ErrorOptions) {
    super(message, options);
    this.misconfigured = misconfigured;
  }
}

/** One error from what several services failed with. */
export const startFailure = (errors: readonly unknown[]): StartFailure => {
  const ended = errors.filter((error) => error instanceof ProcessEndedError);
  const others = errors.filter((error) => !(error instanceof ProcessEndedError));
  const byReason = Map.groupBy(ended, (error) => gist(error.lastLines));
  const parts = [...byReason].map(([reason, who]) => {
    const names = who.map((error) => error.process).join(', ');
    return `${names} did not start: ${reason}`;
  });
  for (const error of others) parts.push(error instanceof Error ? error.message : String(error));
  const misconfigured = ended.some((error) => error.code === exitConfig);
  return new StartFailure(parts.join('\n'), misconfigured, { cause: errors[0] });
};
