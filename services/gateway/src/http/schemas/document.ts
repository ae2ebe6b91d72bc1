import { namePatterns } from '@skein/sync-core';
import { z } from 'zod';
import { anyJson, id, time } from './basics.ts';

/** The name of a collection. */
export const collectionName = z
  .string()
  .regex(namePatterns.collection, 'must be a name without spaces and slashes');

/** The id of a document: what one protocol takes, all give back. In a path it is percent-encoded. */
export const documentId = z.string().regex(namePatterns.documentId, 'must be 1 to 256 printable characters');

/** A document at its head. */
export const document = z
  .object({
    collection: z.string(),
    id: z.string(),
    version: z.int(),
    value: anyJson,
    hash: z.string(),
    offset: z.int(),
    updatedAt: time,
  })
  .meta({ id: 'Document' });

/** Object keys, at most 8 deep. */
export const path = z.array(z.string().min(1).max(256)).max(8);

/** One change inside a document. */
export const operation = z
  .object({
    op: z.enum(['set', 'unset', 'add', 'remove', 'increment', 'delete']),
    path: path.optional(),
    value: anyJson.optional(),
  })
  .meta({ id: 'Operation' });

/** One change of a device, in its own order. */
export const mutation = z
  .object({
    seq: z.int().min(1),
    collection: collectionName,
    id: documentId,
    baseVersion: z.int().min(0),
    ops: z.array(operation).min(1).max(100),
    hlc: z
      .string()
      .regex(/^[0-9a-f]{12}-[0-9a-f]{4}-.{1,128}$/, 'must be <ms, 12 hex>-<counter, 4 hex>-<device>'),
  })
  .meta({ id: 'Mutation' });

/**
 * A mutation as it is taken. What is none but has a seq must reach session-sync as well: refused here it would be
 * sent again for ever, there it becomes a result like any other.
 */
export const receivedMutation = z
  .union([mutation, z.looseObject({ seq: z.int().min(1) })])
  .describe('What has a seq but is no Mutation is answered with the outcome `rejected`');

/** POST /v1/spaces/{space}/mutations */
export const mutations = z.object({
  device: id,
  epoch: z.string().min(1).max(128).optional().describe('Of the log that the device has seen'),
  mutations: z.array(receivedMutation).min(1).max(100),
});

/** What became of a mutation. */
export const mutationResult = z
  .looseObject({
    seq: z.int(),
    outcome: z.enum(['applied', 'merged', 'rejected', 'conflict', 'stale', 'duplicate']),
    version: z.int().optional(),
    offset: z.int().optional(),
    value: anyJson.optional(),
    conflictId: z.string().optional(),
    code: z.string().optional(),
    path: z.string().optional().describe('Of `rejected`: where'),
    original: anyJson.optional(),
  })
  .meta({ id: 'MutationResult' });

/** The answer to a batch. */
export const mutationResults = z
  .object({ results: z.array(mutationResult), lastSeq: z.int() })
  .meta({ id: 'MutationResults' });
