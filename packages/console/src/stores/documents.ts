import { emptySpace, type SessionState, type ShownDocument, shownDocuments } from '@skein/sync-client';
import { type ComputedRef, computed, type Ref } from 'vue';

/**
 * The documents of the own space as the person left them, whether or not the server knows. Made anew only when one of
 * the things they are made of is another: while an answer streams, the state is a new one with every frame drawn.
 */
export function useDocuments(
  state: Readonly<Ref<SessionState>>,
): ComputedRef<{ readonly [key: string]: ShownDocument }> {
  const home = computed(() => state.value.home ?? '');
  const documents = computed(() => (state.value.spaces[home.value] ?? emptySpace).documents);
  const queues = computed(() => state.value.queues);
  const settling = computed(() => state.value.settling);
  return computed(() =>
    shownDocuments(home.value, documents.value, { queues: queues.value, settling: settling.value }),
  );
}
