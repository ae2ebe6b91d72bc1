/**
 * The least that could be between a person's devices: a bare `ws` server that gives a text to the other sockets of the
 * same person, who is named by the first text, and keeps nothing. Says its port over IPC.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const people = new Map<string, Set<WebSocket>>();
const http = createServer();
new WebSocketServer({ server: http, perMessageDeflate: false }).on('connection', (socket) => {
  socket.once('message', (first) => {
    const person = String(first);
    const own = people.get(person) ?? new Set();
    people.set(person, own.add(socket));
    socket.on('message', (data) => {
      const text = String(data);
      for (const other of own) if (other !== socket) other.send(text);
    });
    socket.send('opened');
  });
});
http.listen(0, '127.0.0.1', () => process.send?.((http.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
