import { type Database, openDatabase } from '@skein/postgres';
import { createLogger } from '@skein/telemetry';
import { participantTableSql, sagaTablesSql } from '../src/index.ts';

/** Where the steps of tests leave what they did. */
const effectsSql = `
create table effect (saga text not null, step text not null, what text not null, at timestamptz not null default now());
`;

export const migrations = [
  { version: 1, name: 'sagas', sql: sagaTablesSql },
  { version: 2, name: 'participant', sql: participantTableSql },
  { version: 3, name: 'effects', sql: effectsSql },
];

/** A logger that keeps its lines. */
export const logInto = (lines: string[] = []) =>
  createLogger({
    service: 'test',
    instance: 'test',
    level: 'info',
    destination: { write: (line: string) => void lines.push(line) },
  });

export const openOn = async (url: string): Promise<Database> => {
  const database = openDatabase(
    { url, schema: 'saga_test', applicationName: 'test', migrations, poolSize: 6 },
    { log: logInto() },
  );
  await database.run();
  return database;
};
