import { expect, it } from 'vitest';
import { connectionConfig, describeTarget } from '../src/connection.ts';

it.each([
  ['postgres://me:secret@db.internal:6432/app', 'db.internal:6432'],
  ['postgres://me:secret@db.internal/app?sslmode=require', 'db.internal:5432'],
  ['postgres:///app', 'localhost:5432'],
  ['postgres://me@localhost/app?host=%2Frun%2Fpg', '/run/pg'],
  ['postgres://me:s@%2Frun%2Fpg/app', '/run/pg'],
])('names the place of %s without its secrets', (url, target) => {
  expect(describeTarget(url)).toBe(target);
});

it('keeps the options of the URL beside its own', () => {
  const { connectionString, options } = connectionConfig({
    url: 'postgres://me@localhost/app?options=-c%20work_mem%3D8MB&sslmode=disable',
    ...{ schema: 'mine', applicationName: 'test', statementTimeoutMs: 1, transactionTimeoutMs: 2 },
  });
  expect(connectionString).toBe('postgres://me@localhost/app?sslmode=disable');
  expect(options).toMatch(/^-c search_path=mine .* -c work_mem=8MB$/);
});
