/** Why a call never left this process: there was no connection in time. The `cause` of an `unavailable`. */
export class NoConnection extends Error {
  override readonly name = 'NoConnection';
  constructor(path: string) {
    super(`${path}: no instance could be reached in time`);
  }
}
