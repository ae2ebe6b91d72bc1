import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { accountName } from './account.ts';
import { summarize } from './config/summary.ts';
import { dropDeadLetters, listDeadLetters, retryDeadLetters } from './dead-letters.ts';
import { openGateway } from './gateway.ts';
import { verifyLedger } from './ledger.ts';
import { reanchor } from './reanchor.ts';
import { cancelRebuild, rebuild } from './rebuild.ts';
import { listSagas, operateSagas, sagaVerbs } from './sagas.ts';
import { screenOf } from './screen.ts';
import { help, UsageError } from './usage.ts';

/** What a run may read and where it writes. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly write: (line: string) => void;
  /** Ends what would go on for ever. */
  readonly signal?: AbortSignal;
}

const options = {
  service: { type: 'string' },
  from: { type: 'string' },
  state: { type: 'string' },
  reason: { type: 'string' },
  value: { type: 'string' },
  json: { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const parse = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
};

const needed = (value: string | undefined, what: string): string => {
  if (value === undefined || value.trim() === '') throw new UsageError(`${what} is needed.`);
  return value;
};

/** A time a person typed, in full: `2026-01-31T12:00Z`. */
const timeOf = (text: string): string => {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(ms))
    throw new UsageError('--from must be a time with its zone, such as 2026-01-31T12:00:00Z.');
  return new Date(ms).toISOString();
};

/** What a step is to have given, as JSON: a word in quotes. */
const stepValue = (verb: string, text: string | undefined): { readonly value?: unknown } => {
  if (text === undefined) return {};
  if (verb !== 'skip') throw new UsageError('--value is for skip.');
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    throw new UsageError(`--value must be JSON, such as '{"id":1}' or '"text"'.`, { cause: error });
  }
};

/**
 * Runs one command and resolves with whether everything it was asked for was done. UsageError for a command line that
 * cannot be used; any other error is a sentence of who refused.
 */
export const runCommand = async (args: readonly string[], surroundings: Surroundings): Promise<boolean> => {
  const { env, write } = surroundings;
  const { values, positionals } = parse(args);
  const [group = '', verb = '', ...ids] = positionals;
  if (values.help) {
    write(help);
    return true;
  }
  const screen = screenOf(values.json, write);
  const reason = () => needed(values.reason, '--reason, which is kept in the journal,');
  const actor = () => `${accountName()}@${hostname()}`;
  const some = () => {
    if (ids.length === 0) throw new UsageError(`Name one or more ids, as "skein ${group} list" shows them.`);
    return ids;
  };
  if (group === 'sagas' && sagaVerbs.includes(verb)) {
    const order = { verb, reason: reason(), ...stepValue(verb, values.value) };
    await operateSagas(openGateway(env), screen, some(), order);
    return true;
  }
  if (group === 'config' && verb !== 'summary') {
    // Loads the schemas of all services, which the other commands do without.
    const { configVerbs } = await import('./config/verbs.ts');
    const run = Object.hasOwn(configVerbs, verb) ? configVerbs[verb] : undefined;
    const { json, 'dry-run': dryRun } = values;
    const { signal = new AbortController().signal } = surroundings;
    if (run) return run({ env, screen, args: ids, dryRun, json, signal });
  }
  switch (`${group} ${verb}`) {
    case 'config summary':
      return summarize(openGateway(env), screen, ids[0]);
    case 'sagas list':
      await listSagas(openGateway(env), screen, { service: values.service, state: values.state ?? 'parked' });
      return true;
    case 'ledger verify':
      return verifyLedger(openGateway(env), screen, ids[0] ?? 'personal');
    case 'dead-letters list':
      await listDeadLetters(openGateway(env), screen, values.service);
      return true;
    case 'dead-letters retry':
      return retryDeadLetters(openGateway(env), screen, some(), reason());
    case 'dead-letters drop':
      await dropDeadLetters(openGateway(env), screen, some(), reason());
      return true;
    case 'events replay': {
      const service = needed(values.service, '--service');
      const order = { service, from: timeOf(needed(values.from, '--from')), reason: reason() };
      await openGateway(env).call('POST', '/v1/admin/replays', order);
      screen.row(order, `${service} publishes again from ${order.from}.`);
      return true;
    }
    case 'db reanchor': {
      await reanchor(needed(env['DATABASE_URL'], 'DATABASE_URL'), screen, {
        actor: actor(),
        reason: reason(),
      });
      return true;
    }
    case 'db cancel-rebuild': {
      await cancelRebuild(needed(env['DATABASE_URL'], 'DATABASE_URL'), screen, {
        actor: actor(),
        reason: reason(),
      });
      return true;
    }
    case 'db rebuild': {
      await rebuild(needed(env['DATABASE_URL'], 'DATABASE_URL'), screen, {
        actor: actor(),
        reason: reason(),
      });
      return true;
    }
    default:
      throw new UsageError(
        group === '' ? 'Say what to do.' : `There is no command "${`${group} ${verb}`.trim()}".`,
      );
  }
};
