export {
  allScope,
  type Change,
  type ConfigStore,
  maxDocumentBytes,
  type Settings,
  type Snapshot,
  type StoredDocument,
  type Wait,
} from './config-store.ts';
export { type ConfigWatchOptions, configWatch } from './config-watch.ts';
export { readDocument, writeDocument } from './document.ts';
export { fileStore } from './file-store.ts';
