import type { Gateway } from '../gateway.ts';
import type { Screen } from '../screen.ts';

interface Setting {
  readonly name: string;
  readonly value: string;
  readonly source: string;
  readonly overridden?: string;
  readonly live: boolean;
}

interface ServiceConfig {
  readonly service: string;
  readonly instance?: string;
  readonly settings: readonly Setting[];
  readonly refused: readonly string[];
  readonly error?: string;
}

const sourceOf = ({ source, overridden, live }: Setting): string =>
  [source, ...(overridden === undefined ? [] : [`wins over ${overridden}`]), ...(live ? ['live'] : [])].join(
    ', ',
  );

/** Prints what one process of each service has for settings, and where from; false when something is refused or away. */
export const summarize = async (gateway: Gateway, screen: Screen, service?: string): Promise<boolean> => {
  const { items } = (await gateway.call('GET', '/v1/admin/config')) as {
    readonly items: readonly ServiceConfig[];
  };
  const asked = items.filter((one) => service === undefined || one.service === service);
  if (asked.length === 0) throw new Error(`There is no service ${service}.`);
  for (const one of asked) {
    screen.say(`${one.service}${one.instance === undefined ? '' : ` (${one.instance})`}`);
    if (one.error !== undefined)
      screen.row({ service: one.service, error: one.error }, `  could not be asked: ${one.error}`);
    for (const setting of one.settings)
      screen.row(
        { service: one.service, ...setting },
        `  ${setting.name} ${setting.value || '(empty)'}  [${sourceOf(setting)}]`,
      );
    for (const refused of one.refused)
      screen.row({ service: one.service, refused }, `  not valid, and so not in use: ${refused}`);
  }
  return asked.every(({ error, refused }) => error === undefined && refused.length === 0);
};
