/**
 * The servers that ours is measured beside: `ws` and socket.io as their manuals show them, compression off. They give
 * on what a publisher sends as it is, with nothing kept. Says its port over IPC.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { WebSocket, WebSocketServer } from 'ws';

const kind = process.argv[2];
const http = createServer();

if (kind === 'ws') {
  const wss = new WebSocketServer({ server: http, perMessageDeflate: false });
  wss.on('connection', (socket) => {
    socket.on('message', (data) => {
      const text = String(data);
      for (const client of wss.clients)
        if (client !== socket && client.readyState === WebSocket.OPEN) client.send(text);
    });
  });
} else {
  const io = new Server(http, { perMessageDeflate: false });
  io.on('connection', (socket) => {
    socket.join('space');
    socket.on('m', (text: string) => {
      socket.to('space').emit('m', text);
    });
  });
}

http.listen(0, '127.0.0.1', () => process.send?.((http.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
