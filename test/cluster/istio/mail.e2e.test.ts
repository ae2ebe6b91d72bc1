import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { kubectl, must } from '../support/program.ts';
import { installChart } from '../support/stack.ts';
import { mesh, outside } from './mesh.ts';
import { holding, makePlace } from './place.ts';
import { useMesh } from './use-mesh.ts';
import { openWayIn, register } from './way-in.ts';

useMesh();

const name = 'mail';
const port = 587;
/** Above those that only root may listen at. */
const targetPort = 5870;
const host = `${name}.${outside}.svc.cluster.local`;

/** The values of docs/how-to/send-mails.md, for a mail server in another namespace. */
const values = {
  'services.user.config.MAIL_FROM': 'Skein <skein@example.org>',
  'services.user.extraEnv': [{ name: 'MAIL_URL', value: `smtp://${host}` }],
  'networkPolicy.mail': {
    to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': outside } } }],
    // Where a policy is applied after the Service has chosen the pod, it is the port of the pod.
    ports: [port, targetPort],
  },
  'istio.externalServices': [
    { name, services: ['user'], hosts: [host], ports: [{ number: port, protocol: 'TCP' }] },
  ],
};

it('a mail server outside the mesh is reached by user when network and mesh are told of it', {
  timeout: 900_000,
}, async () => {
  const { namespace, pod } = await makePlace(outside, name);
  await using _ = await holding({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace } },
    spec: { selector: { app: name }, ports: [{ port, targetPort, appProtocol: 'tcp' }] },
  });
  const script = await readFile(join(import.meta.dirname, 'in-pod', 'mail-server.mjs'), 'utf8');
  const node = ['/usr/local/bin/node', '--input-type=module', '-', String(targetPort)];
  const mail = must('kubectl', ['-n', namespace, 'exec', '-i', pod, '--', ...node], {
    input: script,
    timeoutMs: 800_000,
  });
  // When the rest fails, that is what is told.
  mail.catch(() => {});
  try {
    const args = Object.entries(values).flatMap(([key, value]) => [
      '--set-json',
      `${key}=${JSON.stringify(value)}`,
    ]);
    await installChart(mesh, ...args);
    await using wayIn = await openWayIn();
    await register(wayIn);
    expect(await mail).toMatch(/^skein@example\.org \S+@example\.invalid$/);
  } finally {
    await kubectl('-n', namespace, 'delete', 'pod', pod, '--wait=false');
    await installChart(mesh);
  }
});
