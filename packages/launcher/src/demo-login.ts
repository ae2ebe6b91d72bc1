import type { Secrets } from './secrets.ts';

/** A login that works right after the start. */
export interface DemoLogin {
  readonly email: string;
  readonly password: string;
}

const timeoutMs = 10_000;
const alreadyThere = 409;
const maxShown = 300;

/** Makes sure that the demo account exists, over the public API like anybody's. */
export const demoLogin = async (url: string, secrets: Secrets): Promise<DemoLogin> => {
  const login = { email: secrets.demoEmail, password: secrets.demoPassword };
  const response = await fetch(`${url}/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...login, displayName: 'Demo' }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const said = await response.text();
  if (!response.ok && response.status !== alreadyThere)
    throw new Error(`the demo account could not be made: ${response.status} ${said.slice(0, maxShown)}`);
  return login;
};
