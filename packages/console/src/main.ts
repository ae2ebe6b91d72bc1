import { createPinia } from 'pinia';
import { createApp } from 'vue';
import { browserClock, claimDevice, deviceName, exclusive, newId, openSocket } from './browser.ts';
import App from './components/App.vue';
import { createApi } from './rest/api.ts';
import { createTokens } from './rest/tokens.ts';
import { type PageDeps, pageDeps } from './stores/deps.ts';
import type { Device } from './sync/ports.ts';
import { createSession } from './sync/session.ts';
import './styles/base.css';

const fetcher = (url: string, init: RequestInit) => fetch(url, init);
let claimed: Promise<string> | undefined;
/** This tab's device; its slot is taken when it is first needed. */
const device = async (): Promise<Device> => {
  claimed ??= claimDevice(localStorage, sessionStorage);
  return { id: await claimed, platform: 'web', name: deviceName(navigator.userAgent) };
};
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
  storage: localStorage,
  openSession: async (userId, on) => {
    const mine = await device();
    return createSession({
      clock: browserClock,
      random: Math.random,
      newId,
      openSocket,
      access: tokens.access,
      rest: api,
      device: mine,
      tab: sessionStorage,
      kept: localStorage,
      key: `${userId}.${mine.id}`,
      ...(globalThis.crypto.subtle === undefined
        ? {}
        : { sha256: (bytes: Uint8Array<ArrayBuffer>) => crypto.subtle.digest('SHA-256', bytes) }),
      ...on,
    });
  },
};

createApp(App).provide(pageDeps, deps).use(createPinia()).mount('#app');
