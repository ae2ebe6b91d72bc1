/** What the probe service sends and answers; JSON instead of protobuf, because the wire format is not what is tested. */
export interface Probe {
  readonly text: string;
}

const codec = {
  requestSerialize: (value: Probe): Buffer => Buffer.from(JSON.stringify(value)),
  requestDeserialize: (bytes: Buffer): Probe => JSON.parse(bytes.toString()) as Probe,
  responseSerialize: (value: Probe): Buffer => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes: Buffer): Probe => JSON.parse(bytes.toString()) as Probe,
};

/** One method of each kind. */
export const probeService = {
  say: {
    path: '/skein.probe.v1.ProbeService/Say' as const,
    requestStream: false as const,
    responseStream: false as const,
    ...codec,
  },
  count: {
    path: '/skein.probe.v1.ProbeService/Count' as const,
    requestStream: false as const,
    responseStream: true as const,
    ...codec,
  },
  echo: {
    path: '/skein.probe.v1.ProbeService/Echo' as const,
    requestStream: true as const,
    responseStream: true as const,
    ...codec,
  },
};

export const secret = 'a-secret-of-at-least-32-characters!';
