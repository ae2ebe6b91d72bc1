import { describe, expect, it } from 'vitest';
import { type NodeSummary, usageBetween } from './support/usage.ts';

const summary = (time: string, usageCoreNanoSeconds: number, pod = 'a-0'): NodeSummary => ({
  pods: [
    {
      podRef: { name: pod, namespace: 'skein' },
      containers: [
        {
          name: 'a',
          cpu: { time, usageCoreNanoSeconds },
          memory: { workingSetBytes: 64 * 1024 * 1024, rssBytes: 32 * 1024 * 1024 },
        },
      ],
    },
  ],
});

describe('what containers use', () => {
  it('is memory at the second look, and CPU between the times that the kubelet gives', () => {
    const first = [summary('2026-11-29T10:00:00Z', 5e9)];
    const second = [summary('2026-11-29T10:01:00Z', 5.6e9)];
    expect(usageBetween(first, second)).toEqual([
      {
        ...{ namespace: 'skein', pod: 'a-0', container: 'a' },
        ...{ workingSetMib: 64, rssMib: 32, cpuMillicores: 10 },
      },
    ]);
  });

  it('leaves out a container that came in between: it has not rested', () => {
    const at = '2026-11-29T10:00:00Z';
    expect(usageBetween([summary(at, 0)], [summary(at, 1, 'a-1')])).toEqual([]);
  });
});
