import { describe, expect, it } from 'vitest';
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
