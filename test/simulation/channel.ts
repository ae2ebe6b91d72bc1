/** Items on their way from one who pushes to one who reads. */
export interface Channel<T> {
  push(item: T): void;
  end(): void;
  /** What was pushed before is still read. */
  fail(error: unknown): void;
  read(): AsyncGenerator<T, void>;
  [Symbol.asyncIterator](): AsyncGenerator<T, void>;
}

/** A channel for one reader. */
export const channel = <T>(): Channel<T> => {
  const items: T[] = [];
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  let wake = () => {};
  const over = () => ended || failure !== undefined;
  async function* read(): AsyncGenerator<T, void> {
    for (;;) {
      const [item] = items.splice(0, 1);
      if (item !== undefined) yield item;
      else if (failure) throw failure.error;
      else if (ended) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  return {
    push: (item) => {
      if (over()) return;
      items.push(item);
      wake();
    },
    end: () => {
      ended = true;
      wake();
    },
    fail: (error) => {
      if (over()) return;
      failure = { error };
      wake();
    },
    read,
    [Symbol.asyncIterator]: read,
  };
};
