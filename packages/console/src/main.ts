import { createSession, type Device } from '@skein/sync-client';
import { createPinia } from 'pinia';
import { createApp } from 'vue';
import { browserClock, browserHold, deviceName, exclusive, newId, openSocket } from './browser.ts';
import App from './components/App.vue';
import { adoptLeft, type ClaimedDevice, claimDevice } from './device.ts';
import { createApi } from './rest/api.ts';
import { createTokens } from './rest/tokens.ts';
import { type PageDeps, pageDeps } from './stores/deps.ts';
import './styles/base.css';

const fetcher = (url: string, init: RequestInit) => fetch(url, init);
const tabs = { storage: localStorage, hold: browserHold(), newId };
let claimed: Promise<ClaimedDevice> | undefined;
/** This tab's device; its slot is taken when it is first needed. */
const claim = (): Promise<ClaimedDevice> => {
  claimed ??= claimDevice(tabs);
  return claimed;
};
const introduced = ({ id }: ClaimedDevice): Device => ({
  id,
  platform: 'web',
  name: deviceName(navigator.userAgent),
});
const device = async (): Promise<Device> => introduced(await claim());
const tokens = createTokens({
  fetch: fetcher,
  storage: localStorage,
  clock: browserClock,
  newId,
  exclusive,
  device,
});
const api = createApi(fetcher, tokens);

const deps: PageDeps = {
  tokens,
  api,
  newId,
  clock: browserClock,
  storage: localStorage,
  openSession: async (userId, on) => {
    const mine = await claim();
    await adoptLeft(tabs, userId, mine.id);
    const known = () => ({ device: introduced(mine), key: `${userId}.${mine.id}` });
    return createSession({
      clock: browserClock,
      random: Math.random,
      newId,
      openSocket,
      access: tokens.access,
      user: userId,
      rest: api,
      ...known(),
      rename: () => {
        mine.rename();
        return known();
      },
      tab: sessionStorage,
      kept: localStorage,
      ...(globalThis.crypto.subtle === undefined
        ? {}
        : { sha256: (bytes: Uint8Array<ArrayBuffer>) => crypto.subtle.digest('SHA-256', bytes) }),
      ...on,
    });
  },
};

createApp(App).provide(pageDeps, deps).use(createPinia()).mount('#app');
