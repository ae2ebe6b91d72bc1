import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

// The gateway's default address; another one by SKEIN_GATEWAY_URL.
const gateway = process.env['SKEIN_GATEWAY_URL'] ?? 'http://127.0.0.1:8002';

export default defineConfig({
  plugins: [vue()],
  build: {
    outDir: 'dist',
    // Everything stays a file of our own origin: the page's policy allows no data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/v1': { target: gateway, ws: true },
    },
  },
});
