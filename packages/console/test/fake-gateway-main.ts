import { fileURLToPath } from 'node:url';
import { fakeGateway } from './fake-gateway.ts';

// The page's own server for looking at it: the built page on port 8002, or behind `vite` with live reload.
const gateway = await fakeGateway({
  port: Number(process.env['PORT'] ?? 8002),
  dist: fileURLToPath(new URL('../dist', import.meta.url)),
});
process.stdout.write(`fake gateway on ${gateway.url}\n`);
