import { createPinia } from 'pinia';
import { createApp } from 'vue';
import { browserClock, claimDevice, deviceName, exclusive, newId, openSocket } from './browser.ts';
import App from './components/App.vue';
import { createApi } from './rest/api.ts';
import { createTokens } from './rest/tokens.ts';
import { type PageDeps, pageDeps } from './stores/deps.ts';
import { createSession } from './sync/session.ts';
import './styles/base.css';

const fetcher = (url: string, init: RequestInit) => fetch(url, init);
const tokens = createTokens({ fetch: fetcher, storage: localStorage, clock: browserClock, newId, exclusive });
const api = createApi(fetcher, tokens);
let device: Promise<string> | undefined;

const deps: PageDeps = {
  tokens,
  api,
  newId,
  storage: localStorage,
  openSession: async (userId, on) => {
    device ??= claimDevice(localStorage, sessionStorage);
    const id = await device;
    return createSession({
      clock: browserClock,
      random: Math.random,
      newId,
      openSocket,
      access: tokens.access,
      rest: api,
      device: { id, platform: 'web', name: deviceName(navigator.userAgent) },
      tab: sessionStorage,
      kept: localStorage,
      key: `${userId}.${id}`,
      ...(globalThis.crypto.subtle === undefined
        ? {}
        : { sha256: (bytes: Uint8Array<ArrayBuffer>) => crypto.subtle.digest('SHA-256', bytes) }),
      ...on,
    });
  },
};

createApp(App).provide(pageDeps, deps).use(createPinia()).mount('#app');
