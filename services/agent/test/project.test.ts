import { AppError } from '@skein/contracts';
import { rootContext } from '@skein/rpc';
import { describe, expect, it } from 'vitest';
import { projectUseCases } from '../src/app/projects.ts';
import { assigneeOf } from '../src/domain/project.ts';

describe('a task nobody was named for', () => {
  it.each([
    ['Design the database schema and the API of a service', 'backend-dev'],
    ['What do the numbers of May say?', 'data-analyst'],
    ['Break the move into tasks', 'coordinator'],
    ['Write to my aunt', 'cruz'],
    ['买一张去海边的火车票', 'cruz'],
    ['', 'cruz'],
  ])('%s: goes to %s', (text, persona) => {
    expect(assigneeOf(text)).toBe(persona);
  });
});

/** What is wrong with a project of this title and task, as its person hears at once; undefined for one that begins. */
const refusal = async (title: string, text = 'Book a train') => {
  const answer = { projectId: 'p', sagaId: 's' };
  const { start } = projectUseCases({
    projects: { begin: async () => answer, cancel: () => Promise.reject(new AppError('not_found')) },
    space: { find: async () => ({ id: 'space', role: 'owner' }) },
    newId: () => 'id',
  });
  const ctx = rootContext({ actor: { userId: 'ada', scopes: [] }, timeoutMs: 1_000 });
  try {
    expect(await start({ space: 'personal', title, tasks: [{ text, persona: '' }] }, ctx)).toBe(answer);
    return undefined;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return error.errors?.map(({ path, message }) => `${path} ${message}`);
  }
};

describe('a project', () => {
  it('begins with any title that its space keeps, and no other', async () => {
    for (const one of ['海', 'a']) {
      expect(await refusal(one.repeat(200))).toBeUndefined();
      expect(await refusal(one.repeat(201))).toEqual(['title must be at most 200 characters long']);
    }
    expect(await refusal('a\0b')).toEqual(['title must not contain U+0000']);
  });

  it('begins with any task that its space keeps, and no other', async () => {
    expect(await refusal('Holidays', '海'.repeat(1_000))).toBeUndefined();
    expect(await refusal('Holidays', '海'.repeat(1_001))).toEqual([
      'tasks.0.text must be at most 1000 characters long',
    ]);
    expect(await refusal('Holidays', 'a\0b')).toEqual(['tasks.0.text must not contain U+0000']);
  });
});
