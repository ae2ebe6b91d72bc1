import { describe, expect, it } from 'vitest';
import { helm } from './support/helm.ts';
import { chart, type Profile, profileValues } from './support/paths.ts';

const notes = async (profile: Profile, ...args: readonly string[]): Promise<string> => {
  const common = ['install', 'skein', chart, '--namespace', 'skein', '--dry-run=client'];
  const { ok, output } = await helm(...common, '--values', profileValues(profile), ...args);
  if (!ok) throw new Error(output);
  return output.split('\nNOTES:\n')[1] ?? '';
};

describe('the notes after an install', () => {
  it('say the next commands, with the names of this release', async () => {
    const text = await notes('default');
    expect(text).toContain('helm -n skein test skein --logs');
    expect(text).toContain('kubectl -n skein port-forward service/skein-gateway 8002');
  });

  it('say the public address where there is one', async () => {
    expect(await notes('ha')).toContain('  https://skein.example.org');
  });

  it('warn of what is not safe', async () => {
    const unsafe = await notes(
      'minimal',
      '--set',
      'networkPolicy.enabled=false,image.tag=latest,expose.kind=ingress,expose.host=a.example.org,expose.tls.enabled=false',
    );
    for (const warning of [
      'Secrets were given as values',
      'networkPolicy.enabled is false',
      'istio.enabled is false',
      'expose.tls.enabled is false',
      'image.tag is latest',
      'events.kind is postgres',
    ])
      expect(unsafe).toContain(`  - ${warning}`);
  });

  it('warn of metrics that a network policy keeps from Prometheus', async () => {
    const monitored = 'metrics.monitor=podMonitor';
    const from = 'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.prometheus=yes';
    const warning = '  - networkPolicy.metricsFrom is empty';
    expect(await notes('default', '--set', monitored)).toContain(warning);
    expect(await notes('default', '--set', `${monitored},${from}`)).not.toContain(warning);
    expect(await notes('default')).not.toContain(warning);
  });

  it('warn of a model and a mail server that a network policy keeps from who needs them', async () => {
    const env = '[{"name":"MAIL_URL","value":"smtp://mail.example.org"}]';
    const args = ['--set-json', `services.user.extraEnv=${env}`];
    args.push('--set', 'services.agent.config.AGENT_MODEL_URL=http://models.example.org/v1');
    const told = await notes('default', ...args);
    expect(told).toContain(
      '  - networkPolicy.mail.to is empty: user does not reach what its MAIL_URL names.',
    );
    expect(told).toContain('  - networkPolicy.model.to is empty: agent does not reach');
    const to = '[{"ipBlock":{"cidr":"192.0.2.25/32"}}]';
    const opened = [
      '--set-json',
      `networkPolicy.mail.to=${to}`,
      '--set',
      'services.agent.config.AGENT_MODEL_URL=',
    ];
    expect(await notes('default', ...args, ...opened)).not.toContain('.to is empty');
  });

  it('warn of nothing where nothing is amiss', async () => {
    expect(await notes('istio')).not.toContain('Mind:');
  });
});
