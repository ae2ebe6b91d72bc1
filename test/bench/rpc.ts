/**
 * CPU of a small unary call through our RPC layer beside bare grpc-js, in turns of one run. CPU time and not wall
 * clock, because the machine may be busy with other things. `BENCH_ROUNDS` changes the number of rounds.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { machine } from './measure-process.ts';
import { shown, table } from './measure-stats.ts';
import { writeSection } from './report-section.ts';
import { inFlight, type Round } from './rpc-shared.ts';

const callsPerRound = 20_000;
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 11);

const side = (kind: 'bare' | 'skein') => {
  const child = fork(fileURLToPath(new URL('./rpc-caller.ts', import.meta.url)), [kind]);
  return {
    round: async (): Promise<Round> => {
      child.send(callsPerRound);
      return ((await once(child, 'message')) as [Round])[0];
    },
    end: () => child.disconnect(),
  };
};

const [bare, ours] = [side('bare'), side('skein')];
const pairs: { readonly bare: Round; readonly ours: Round }[] = [];
for (let round = 0; round < rounds; round += 1) {
  pairs.push({ bare: await bare.round(), ours: await ours.round() });
}
bare.end();
ours.end();

const row = (name: string, of: (round: Round) => number): string[] => [
  name,
  shown(
    pairs.map((pair) => of(pair.bare)),
    1,
  ),
  shown(
    pairs.map((pair) => of(pair.ours)),
    1,
  ),
  shown(
    pairs.map((pair) => of(pair.ours) / of(pair.bare)),
    2,
  ),
];
const report = table([
  ['CPU, µs a call', 'bare grpc-js', 'ours', 'ratio'],
  row('server', ({ serverUs }) => serverUs),
  row('client', ({ clientUs }) => clientUs),
  row('both', ({ clientUs, serverUs }) => clientUs + serverUs),
]);

process.stdout.write(`${report}\n`);
await writeSection(
  'rpc',
  `## Our RPC layer beside bare grpc-js

Small unary calls, ${inFlight} in flight, ${rounds} rounds of ${callsPerRound.toLocaleString('en')} calls each in turn, client and server in
processes of their own. Bare: no deadline, no metadata. Ours: deadline, signed identity of 200 people in turn,
correlation, one recorded span on each side (not exported), bulkhead, breaker, retry budget, histogram.
Aim: 1.25 times the CPU at most.

${report}

${machine()}`,
);
