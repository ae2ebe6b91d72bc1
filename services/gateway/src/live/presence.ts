import type { syncV1 } from '@skein/contracts';
import type { DeviceName } from './actor.ts';

type Request = NonNullable<syncV1.LiveRequest['frame']>;

interface Attached {
  readonly userId: string;
  device: DeviceName;
  /** Followed spaces, counted once for each connection of the device that follows them. */
  readonly spaces: Map<string, number>;
  connections: number;
  /** Id of its WebSocket; empty when it has none. */
  socket: string;
  /** Lets go of the spaces of a connection that ended a moment ago. */
  lingering: { readonly timer: NodeJS.Timeout; readonly end: () => void } | undefined;
}

/** A connected device. */
export interface ConnectedDevice extends DeviceName {
  readonly spaces: readonly string[];
}

/** Which devices are connected here, told to session-sync as they come and go. */
export class Presence {
  private readonly attached = new Map<string, Attached>();
  private readonly send: (request: Request) => void;

  constructor(send: (request: Request) => void) {
    this.send = send;
  }

  /**
   * A connection of a device follows these spaces; `socket` is its id when it is a WebSocket, which replaces any other
   * of the device. Every `attach` needs one `detach` with the same spaces and socket.
   */
  attach(userId: string, device: DeviceName, spaces: readonly string[], socket = ''): void {
    const key = `${userId}\0${device.id}`;
    const one: Attached = this.attached.get(key) ?? {
      userId,
      device,
      spaces: new Map(),
      connections: 0,
      socket: '',
      lingering: undefined,
    };
    const known = this.attached.has(key) && one.device.platform === device.platform;
    one.device = device;
    one.connections += 1;
    this.attached.set(key, one);
    const news = this.count(one, spaces, 1);
    const { lingering } = one;
    one.lingering = undefined;
    clearTimeout(lingering?.timer);
    if (socket !== '') one.socket = socket;
    if (news || !known || socket !== '') this.tell(one, socket !== '');
    lingering?.end();
  }

  /** The followed spaces of one connection changed. */
  change(
    userId: string,
    deviceId: string,
    change: { readonly add?: string; readonly remove?: string },
  ): void {
    const one = this.attached.get(`${userId}\0${deviceId}`);
    if (!one) return;
    const added = change.add !== undefined && this.count(one, [change.add], 1);
    const removed = change.remove !== undefined && this.count(one, [change.remove], -1);
    if (added || removed) this.tell(one);
  }

  /** One connection ended; the device counts as connected for `lingerMs` more (polls come again). */
  detach(userId: string, deviceId: string, spaces: readonly string[], lingerMs = 0, socket = ''): void {
    const key = `${userId}\0${deviceId}`;
    const one = this.attached.get(key);
    if (!one) return;
    one.connections -= 1;
    const end = () => {
      const isSocket = socket !== '' && one.socket === socket;
      if (isSocket) one.socket = '';
      const changed = this.count(one, spaces, -1) || isSocket;
      if (one.connections <= 0) {
        this.attached.delete(key);
        this.send({ $case: 'detach', value: { userId, deviceId } });
      } else if (changed) this.tell(one);
    };
    // Only the last one waits: while another connection is there, the spaces of this one are let go.
    if (lingerMs === 0 || one.connections > 0) {
      end();
      return;
    }
    const timer = setTimeout(() => {
      one.lingering = undefined;
      end();
    }, lingerMs);
    timer.unref();
    one.lingering = { timer, end };
  }

  /** The devices of a person that are connected here. */
  devices(userId: string): readonly ConnectedDevice[] {
    return [...this.attached.values()]
      .filter((one) => one.userId === userId)
      .map((one) => ({ ...one.device, spaces: [...one.spaces.keys()] }));
  }

  /** What a new upstream has to be told. */
  *attaches(): Iterable<Request> {
    for (const one of this.attached.values()) yield this.request(one);
  }

  private count(one: Attached, spaces: readonly string[], by: 1 | -1): boolean {
    let changed = false;
    for (const space of spaces) {
      const count = (one.spaces.get(space) ?? 0) + by;
      if (count <= 0) changed = one.spaces.delete(space) || changed;
      else {
        changed ||= !one.spaces.has(space);
        one.spaces.set(space, count);
      }
    }
    return changed;
  }

  private request({ userId, device, spaces, socket }: Attached, opened = false): Request {
    const where = { userId, device: { ...device }, spaces: [...spaces.keys()] };
    return { $case: 'attach', value: { ...where, connection: socket, opened } };
  }

  private tell(one: Attached, opened = false): void {
    this.send(this.request(one, opened));
  }
}
