import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { componentPath } from '@skein/components';

/** A metric as the pages of the services show it. */
export interface Exported {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Services that have it. */
  readonly services: Set<string>;
  /** Labels that its series were seen with; `le` is not one of them. */
  readonly labels: Set<string>;
}

const labelsOf = (text: string): string[] =>
  [...text.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)].map(([, name = '']) => name);

/** Reads a page in the text format of Prometheus into what is known already. */
const readPage = (page: string, service: string, into: Map<string, Exported>): void => {
  const help = new Map<string, string>();
  for (const line of page.split('\n')) {
    const [, key, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (key === 'HELP') help.set(name, rest);
    else if (key === 'TYPE') {
      const known = into.get(name);
      if (known) known.services.add(service);
      else {
        const services = new Set([service]);
        into.set(name, { name, type: rest, help: help.get(name) ?? '', services, labels: new Set() });
      }
    } else {
      const [, sample = '', labels = ''] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? [];
      const metric = into.get(sample) ?? into.get(sample.replace(/_(bucket|sum|count)$/, ''));
      for (const label of labelsOf(labels)) if (label !== 'le') metric?.labels.add(label);
    }
  }
};

/** The page of a process at a port of this machine. */
export const pageOf = async (port: number): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}/metrics`)).text();

/** What processes export together, by name. The ports are those of their metrics on this machine. */
export const scrape = async (ports: readonly number[]): Promise<Map<string, Exported>> => {
  const found = new Map<string, Exported>();
  for (const port of ports) {
    const page = await pageOf(port);
    const [, service = ''] = /skein_service_info\{service="([^"]+)"\} 1/.exec(page) ?? [];
    readPage(page, service, found);
  }
  return found;
};

/** What promtool says about a page: how it is written, names, units, help. Empty when there is nothing to say. */
export const lint = async (page: string): Promise<string> => {
  const child = spawn(await componentPath('promtool'), ['check', 'metrics']);
  child.stdin.end(page);
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return out + err;
};

/** The names of the series of a metric. */
export const seriesOf = ({ name, type }: Exported): string[] =>
  type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
