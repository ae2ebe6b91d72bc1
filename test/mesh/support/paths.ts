import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the work tree. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The chart. */
export const chart = join(root, 'helm', 'skein');

/** Values of one way to install, and the golden render of it. */
export const profiles = ['minimal', 'default', 'ha', 'istio', 'external'] as const;

/** Name of a profile. */
export type Profile = (typeof profiles)[number];

/** The values file of a profile. */
export const profileValues = (profile: Profile): string => join(chart, 'ci', `${profile}-values.yaml`);

/** Its golden render. */
export const golden = (profile: Profile): string => join(chart, 'ci', 'golden', `${profile}.yaml`);
