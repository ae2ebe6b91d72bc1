import { describe, expect, it } from 'vitest';
import { keptNamespaces, type Namespace } from './support/namespaces.ts';

const there = (name: string, labels?: Readonly<Record<string, string>>): Namespace => ({
  metadata: { name, ...(labels ? { labels } : {}) },
});
const label = 'skein.dev/for-tests';

describe('namespaces that are to be removed', () => {
  it('are kept, all of them, when one was not made by the tests; the sentence says what to do', () => {
    const kept = keptNamespaces(
      ['skein', 'skein-platform', 'skein-load'],
      [there('skein', { team: 'a' }), there('skein-platform'), there('skein-load', { [label]: 'true' })],
    );
    expect(kept).toContain('with everything in them, volumes too: skein, skein-platform. ');
    expect(kept).toContain('\n  kubectl label namespace skein skein-platform skein.dev/for-tests=true');
  });

  it('may go when they bear the label, or are not there; others do not matter', () => {
    const found = [there('skein', { [label]: 'true' }), there('kube-system')];
    expect(keptNamespaces(['skein', 'skein-platform'], found)).toBeUndefined();
    expect(keptNamespaces(['skein'], [])).toBeUndefined();
  });

  it('are kept where the label says that they are not for tests', () => {
    expect(keptNamespaces(['skein'], [there('skein', { [label]: 'false' })])).toContain('skein');
  });
});
