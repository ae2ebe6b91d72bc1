import type { KubeObject } from './helm.ts';

/** One allowed way: who calls whom on which port. */
export type Edge = `${string} → ${string}:${number}`;

interface Peer {
  readonly podSelector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly namespaceSelector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly ipBlock?: { readonly cidr: string };
}
interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly { readonly port: number; readonly protocol: string }[];
}
interface NetworkPolicySpec {
  readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

const nameLabel = 'app.kubernetes.io/name';

/** How a peer is called in an edge: one of our pods by its name, everything else by what selects it. */
const peerName = ({ podSelector, namespaceSelector, ipBlock }: Peer): string => {
  if (ipBlock) return ipBlock.cidr;
  const namespace = namespaceSelector?.matchLabels?.['kubernetes.io/metadata.name'];
  if (namespace) return `namespace ${namespace}`;
  return podSelector?.matchLabels?.[nameLabel] ?? 'all of ours';
};

const edgesOf = (rules: readonly Rule[] | undefined, edge: (peer: string, port: number) => Edge): Edge[] =>
  (rules ?? []).flatMap(({ from, to, ports }) =>
    // Without peers or ports a rule allows everybody or everything.
    (from ?? to ?? [{ ipBlock: { cidr: 'everybody' } }]).flatMap((peer) =>
      (ports ?? [{ port: 0 }]).map(({ port }) => edge(peerName(peer), port)),
    ),
  );

/** What NetworkPolicies allow, from the caller's end (egress) and from the callee's (ingress). */
export const networkEdges = (
  objects: readonly KubeObject[],
): { readonly ingress: readonly Edge[]; readonly egress: readonly Edge[] } => {
  const ingress: Edge[] = [];
  const egress: Edge[] = [];
  for (const { kind, spec } of objects) {
    if (kind !== 'NetworkPolicy') continue;
    const policy = spec as unknown as NetworkPolicySpec;
    const own = policy.podSelector.matchLabels[nameLabel] ?? 'all of ours';
    ingress.push(...edgesOf(policy.ingress, (peer, port) => `${peer} → ${own}:${port}`));
    egress.push(...edgesOf(policy.egress, (peer, port) => `${own} → ${peer}:${port}`));
  }
  return { ingress: ingress.sort(), egress: egress.sort() };
};

interface AuthorizationSpec {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly action?: string;
  readonly rules?: readonly {
    readonly from?: readonly { readonly source: { readonly principals: readonly string[] } }[];
    readonly to?: readonly {
      readonly operation: {
        readonly ports: readonly string[];
        readonly methods?: readonly string[];
        readonly paths?: readonly string[];
      };
    }[];
  }[];
}

/** A call that AuthorizationPolicies allow: `caller → callee:port path`; `*` where a rule names none. */
export const authorizedCalls = (objects: readonly KubeObject[]): readonly string[] => {
  const calls: string[] = [];
  for (const { kind, spec } of objects) {
    if (kind !== 'AuthorizationPolicy') continue;
    const { selector, action = 'ALLOW', rules = [] } = spec as unknown as AuthorizationSpec;
    if (action !== 'ALLOW') throw new Error(`a policy with action ${action} is not read here`);
    const callee = selector.matchLabels[nameLabel] ?? 'all of ours';
    for (const { from, to } of rules) {
      const callers = from?.flatMap(({ source }) => source.principals) ?? ['*'];
      for (const { operation } of to ?? []) {
        for (const caller of callers)
          for (const port of operation.ports)
            for (const path of operation.paths ?? ['*']) calls.push(`${caller} → ${callee}:${port} ${path}`);
      }
    }
  }
  return calls.sort();
};
