import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { expect, it } from 'vitest';
import { runStatement } from '../src/session.ts';
import { testDatabase } from '../src/testing.ts';
import { temporaryDirectory } from './temporary-directory.ts';

it('waits for a late cancel request, so that it cannot hit the next statement', async () => {
  const place = await testDatabase();
  const client = new pg.Client({ connectionString: place.url });
  // The refused request cuts it, which is not what this is about.
  client.on('error', () => {});
  await client.connect();
  // The cancel request goes to a door that nobody opens until the test says so.
  const directory = await temporaryDirectory();
  const arrived = Promise.withResolvers<Socket>();
  const door = createServer(arrived.resolve).listen(join(directory.path, '.s.PGSQL.5432'));
  await once(door, 'listening');
  const caller = new AbortController();
  const order: string[] = [];
  const statement = runStatement(
    client,
    { host: directory.path, user: 'skein' },
    'select 1 as one',
    undefined,
    { signal: caller.signal },
  ).then((rows) => {
    order.push('statement settled');
    return rows;
  });
  caller.abort();
  const request = await arrived.promise;
  // The server answers in order: after this one the first statement has ended too.
  await client.query('select 2');
  order.push('request refused');
  request.destroy();
  expect(await statement).toEqual([{ one: 1 }]);
  expect(order).toEqual(['request refused', 'statement settled']);
  await client.end();
  door.close();
  await place.drop();
  await directory.remove();
});
