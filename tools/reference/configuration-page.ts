import { help } from '../../packages/launcher/src/options.ts';
import { platformConfig } from '../../packages/platform/src/index.ts';
import type { ConfigSchema, Setting } from '../../packages/service-kit/src/index.ts';
import { config as agent } from '../../services/agent/src/config.ts';
import { authConfig as auth } from '../../services/auth/src/config.ts';
import { config as gateway } from '../../services/gateway/src/config.ts';
import { config as sessionSync } from '../../services/session-sync/src/config.ts';
import { userConfig as user } from '../../services/user/src/config.ts';
import { cell, code, page, table } from './markdown.ts';

const services: Readonly<Record<string, ConfigSchema>> = {
  gateway,
  auth,
  user,
  'session-sync': sessionSync,
  agent,
};

/** Defaults that depend on the machine: the page must be the same on all of them. */
const dependsOnMachine: Readonly<Record<string, string>> = { AUTH_HASH_CONCURRENCY: 'number of cores' };

const fallbackText = (name: string, { fallback, secret }: Setting<unknown>): string => {
  if (fallback === undefined) return '**required**';
  const machine = dependsOnMachine[name];
  if (machine) return machine;
  const text = String(fallback);
  if (text === '') return 'empty';
  // A URL counts as secret because it may carry a password; a default we ship does not.
  return secret && !/^[a-z]+:$/.test(text) ? '' : code(text);
};

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const settings = (schema: ConfigSchema): string =>
  table(
    ['variable', 'value', 'default', 'live', 'what it does'],
    Object.entries(schema).map(([name, one]) => [
      code(name),
      cell(one.kind),
      fallbackText(name, one),
      one.live ? 'yes' : '',
      cell(sentence(one.help)),
    ]),
  );

const common: ConfigSchema = platformConfig;

/** What a service has beside the settings of all; `user` has none. */
const own = (schema: ConfigSchema): ConfigSchema =>
  Object.fromEntries(Object.entries(schema).filter(([name, one]) => common[name] !== one));

const section = ([name, schema]: [string, ConfigSchema]): string => {
  const mine = own(schema);
  const body = Object.keys(mine).length > 0 ? settings(mine) : 'Those of every service, nothing else.';
  return `## ${name}\n\n${body}`;
};

/** Every setting of the launcher and of the services. */
export const configurationPage = (): string =>
  page(
    'Configuration',
    'the config.ts of each service and the help of the launcher',
    `Services are configured by environment variables. A service reads all of them before it listens, lists every fault at
once and ends with exit code 78 if there is one. What is marked live may come from the config centre of \`CONFIG_URL\`
instead and change while the service runs; the environment wins
([change settings while running](../how-to/change-settings-while-running.md)). \`npx node services/<name>/src/main.ts --help\`
prints what is here. URLs and secrets are never printed or logged.`,
    '## npm start',
    `\`\`\`text\n${help.trim()}\n\`\`\``,
    `## Every service\n\n${settings(common)}`,
    ...Object.entries(services).map(section),
  );
