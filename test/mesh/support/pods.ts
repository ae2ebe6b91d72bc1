import type { KubeObject } from './helm.ts';

/** A container, as far as the tests look at it. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly resources?: {
    readonly requests?: Record<string, string>;
    readonly limits?: Record<string, string>;
  };
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly privileged?: boolean;
    readonly runAsNonRoot?: boolean;
    readonly runAsUser?: number;
    readonly seccompProfile?: { readonly type: string };
    readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
  };
  readonly startupProbe?: unknown;
  readonly readinessProbe?: unknown;
  readonly livenessProbe?: unknown;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
}

/** The specification of a pod. */
export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext?: Container['securityContext'];
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly Readonly<Record<string, unknown>>[];
}

/** The pod of an object that makes pods, or is one. */
export const podOf = ({ kind, spec }: KubeObject): PodSpec | undefined => {
  if (kind === 'Pod') return spec as unknown as PodSpec;
  const template = spec?.['template'] as { spec?: PodSpec } | undefined;
  return template?.spec?.containers ? template.spec : undefined;
};

const allowedVolumes = [
  'configMap',
  'emptyDir',
  'projected',
  'secret',
  'downwardAPI',
  'persistentVolumeClaim',
];

/**
 * What a pod does that PodSecurity `restricted` (kubernetes.io/docs/concepts/security/pod-security-standards) forbids,
 * and a root file system that can be written unless `writable`. Empty when it may run.
 */
export const restrictions = (pod: PodSpec, { writable = false } = {}): string[] => {
  const faults: string[] = [];
  if (pod.hostNetwork || pod.hostPID || pod.hostIPC) faults.push('uses namespaces of the node');
  for (const volume of pod.volumes ?? []) {
    const [kind = ''] = Object.keys(volume).filter((key) => key !== 'name');
    if (!allowedVolumes.includes(kind)) faults.push(`volume ${kind}`);
  }
  for (const { name, securityContext: own = {} } of [...(pod.initContainers ?? []), ...pod.containers]) {
    const both = { ...pod.securityContext, ...own };
    if (both.runAsNonRoot !== true) faults.push(`${name} may run as root`);
    if (both.runAsUser === 0) faults.push(`${name} runs as root`);
    if (!['RuntimeDefault', 'Localhost'].includes(both.seccompProfile?.type ?? ''))
      faults.push(`${name} has no seccomp profile`);
    if (own.privileged === true) faults.push(`${name} is privileged`);
    if (own.allowPrivilegeEscalation !== false) faults.push(`${name} may gain privileges`);
    if (!own.capabilities?.drop?.includes('ALL')) faults.push(`${name} keeps capabilities`);
    if (own.capabilities?.add?.some((one) => one !== 'NET_BIND_SERVICE'))
      faults.push(`${name} adds capabilities`);
    if (!writable && own.readOnlyRootFilesystem !== true)
      faults.push(`${name} can write its root file system`);
  }
  return faults;
};
