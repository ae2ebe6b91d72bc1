/**
 * The least that could be between two devices: a bare `ws` server that gives a text to the other sockets of the same
 * path and keeps nothing. What it takes on this machine at this moment is what any server here takes at least.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const pairs = new Map<string, Set<WebSocket>>();
const http = createServer();
new WebSocketServer({ server: http, perMessageDeflate: false }).on('connection', (socket, request) => {
  const path = request.url ?? '';
  const pair = pairs.get(path) ?? new Set();
  pairs.set(path, pair.add(socket));
  socket.on('message', (data) => {
    const text = String(data);
    for (const other of pair) if (other !== socket) other.send(text);
  });
});
http.listen(0, '127.0.0.1', () => process.send?.((http.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
