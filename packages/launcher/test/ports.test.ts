import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { assertFree, BusyPortError, plannedPorts, portsOf, serviceNames } from '../src/ports.ts';

const plan = { port: 8002, grpcPort: 8100, managementPort: 9464 };

describe('the ports of a mesh', () => {
  it('differ for every instance of every service, and for Consul and NATS', () => {
    const ports = plannedPorts(plan, true).map(({ port }) => port);
    expect(ports).toHaveLength(2 + 2 * 2 * serviceNames.length + 5);
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('are the same at every start', () => {
    expect(portsOf(plan, 'gateway', 0)).toEqual({ public: 8002, grpc: 8100, management: 9464 });
    expect(portsOf(plan, 'agent', 1)).toMatchObject({ grpc: 8114, management: 9478 });
  });

  it('are refused with the option that moves them when somebody listens there, and free afterwards', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const planned = { port, what: 'gRPC of auth', option: '--grpc-port' } as const;
    const refused = assertFree(planned, '127.0.0.1');
    await expect(refused).rejects.toThrow(BusyPortError);
    await expect(refused).rejects.toThrow(
      `Port ${port} (gRPC of auth) is in use: stop what listens there, or choose another with --grpc-port.`,
    );
    // Let go of while it is looked at.
    const patient = assertFree(planned, '127.0.0.1');
    other.close();
    await patient;
    await assertFree(planned, '127.0.0.1');
  });

  it('are refused with HOST when the address is not of this machine', async () => {
    const planned = { port: 8002, what: 'the public address', option: '--port' } as const;
    await expect(assertFree(planned, '192.0.2.1')).rejects.toThrow(
      'cannot be listened on at 192.0.2.1 (EADDRNOTAVAIL): HOST must be an address of this machine.',
    );
  });
});
