import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../../mesh/support/paths.ts';
import { ensureNamespaces } from '../support/namespaces.ts';
import { ask, kubectl, kubectlWait, must } from '../support/program.ts';
import { ingress, mesh } from './mesh.ts';

/** Makes the certificate of the way in: self-signed, for a day. */
const ensureCertificate = async (): Promise<void> => {
  const { namespace, host } = ingress;
  const name = 'skein-tls';
  if ((await ask('kubectl', ['-n', namespace, 'get', 'secret', name])).ok) return;
  const folder = await mkdtemp(join(tmpdir(), 'skein-tls-'));
  const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.crt')];
  try {
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
      ...['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`, '-keyout', key, '-out', cert],
    ]);
    await kubectl('-n', namespace, 'create', 'secret', 'tls', name, `--cert=${cert}`, `--key=${key}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Makes the way in of `istio/ingress`, reached by port-forward: a cluster for tests has no load balancer. */
export const ensureIngress = async (): Promise<void> => {
  const { namespace, service } = ingress;
  const metadata = `  labels: { istio.io/rev: ${mesh.revision} }
  annotations: { networking.istio.io/service-type: ClusterIP }
`;
  const input = (await readFile(join(root, 'istio', 'ingress', 'gateway.yaml'), 'utf8'))
    .replaceAll('istio-ingress', namespace)
    .replaceAll('kubernetes.io/metadata.name: skein ', `kubernetes.io/metadata.name: ${mesh.namespace} `)
    .replace('metadata:\n  name: public\n', `$&${metadata}`);
  await ensureNamespaces(namespace);
  await must('kubectl', ['apply', '-f', '-'], { input });
  await ensureCertificate();
  await kubectlWait('-n', namespace, 'wait', '--for=create', `deployment/${service}`);
  await kubectlWait('-n', namespace, 'rollout', 'status', `deployment/${service}`);
};
