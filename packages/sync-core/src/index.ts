export { type Applied, type ApplyFault, applyOp, applyOps, valueAt } from './apply.ts';
export { canonicalJson } from './canonical.ts';
export { jsonEqual } from './equal.ts';
export { type FieldStamp, type Fields, fieldKey, fieldPath, stampFields, unseenAt } from './fields.ts';
export {
  clampHlc,
  compareHlc,
  encodeHlc,
  type Hlc,
  maxAheadMs,
  parseHlc,
  receiveHlc,
  tickHlc,
} from './hlc.ts';
export { isForbiddenKey, isJsonObject, type Json, type JsonObject } from './json.ts';
export {
  type Decoded,
  decodeMutation,
  isCollectionName,
  isDocumentId,
  type Mutation,
  type MutationResult,
  mutationLimits,
  namePatterns,
  type Op,
  type Path,
  valueFault,
} from './mutation.ts';
export {
  answered,
  emptyQueue,
  enqueue,
  expectedFrom,
  isForeign,
  isInDoubt,
  type MutationQueue,
  notDone,
  rebased,
  type Settled,
  sending,
  underNewId,
} from './mutation-queue.ts';
export {
  defaultPolicy,
  type Policy,
  policyOf,
  type Resolver,
  resolve,
  resolverOf,
  type Strategy,
  shippedPolicies,
} from './policy.ts';
export { type Clash, type DocumentState, type Settlement, settle } from './settle.ts';
export { type Sha256, sha256, toHex } from './sha256.ts';
export { type HashedDocument, type StateHash, stateHash, stateHashOf, valueHash } from './state-hash.ts';
