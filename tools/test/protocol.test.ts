import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { closeCodes } from '../../services/gateway/src/live/close.ts';
import { classicClientFrames, classicServerFrames } from '../../services/gateway/src/ws/classic-schemas.ts';
import { clientFrames, serverFrames } from '../../services/gateway/src/ws/schemas.ts';
import { root } from '../run.ts';

const page = readFileSync(join(root, 'docs/PROTOCOL.md'), 'utf8');

/** The text under a heading, up to the next one of the same kind. */
const section = (heading: string): string => {
  const [, after = ''] = page.split(`\n## ${heading}\n`);
  return after.split('\n## ')[0] ?? '';
};

/** The first column of a section's table → the top-level names in its second column. */
const documented = (heading: string): Record<string, string[]> =>
  Object.fromEntries(
    [...section(heading).matchAll(/^\| `(\w+)` \| (.*?[^\\]) \|/gm)].map(([, type = '', fields = '']) => [
      type,
      [...fields.matchAll(/`(\w+)\??[:`]/g)].map(([, name = '']) => name).sort(),
    ]),
  );

/** Fields that validate but belong to no client yet, or are told elsewhere on the page. */
const toldElsewhere: Readonly<Record<string, readonly string[]>> = {
  subscribe: ['lastId'],
  platform_register: ['name'],
  welcome: ['reconnect'],
  error: ['expectedSeq'],
};

/** `type` is the row itself. The `id` of client frames, and what a `result` holds, is said above the tables. */
const fieldsOf = (
  frames: Readonly<Record<string, { readonly shape: object }>>,
  without: readonly string[],
): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(frames).map(([type, { shape }]) => [
      type,
      Object.keys(shape)
        .filter((name) => ![...without, ...(toldElsewhere[type] ?? [])].includes(name))
        .sort(),
    ]),
  );

describe('docs/PROTOCOL.md', () => {
  it('has the frames that the gateway takes, field by field', () => {
    expect(documented('Frames a client sends')).toEqual(fieldsOf(clientFrames, ['type', 'id']));
  });

  it('has the frames that the gateway sends, field by field', () => {
    const { result: _any, ...frames } = documented('Frames the server sends');
    const { result: _loose, ...sent } = serverFrames;
    expect(frames).toEqual(fieldsOf(sent, ['type']));
  });

  it('has every close code and no other', () => {
    const codes = [...section('Close codes').matchAll(/^\| (\d{4}) \|/gm)].map(([, code]) => Number(code));
    expect(codes).toEqual(Object.values(closeCodes).sort());
  });

  it('has every classic frame, both ways', () => {
    const classic = section('Classic shapes');
    for (const type of Object.keys({ ...classicClientFrames, ...classicServerFrames }))
      expect(classic).toContain(`{type: "${type}"`);
  });
});
