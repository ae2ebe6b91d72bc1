/** What the echo service of these tests is asked and answers. */
export interface Echo {
  readonly text: string;
}

const write = (value: Echo): Buffer => Buffer.from(value.text);
const read = (bytes: Buffer): Echo => ({ text: bytes.toString() });

/** A service of one method, so that no real one is needed. */
export const echoService = {
  say: {
    path: '/skein.test.v1.EchoService/Say' as const,
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: write,
    requestDeserialize: read,
    responseSerialize: write,
    responseDeserialize: read,
  },
};
