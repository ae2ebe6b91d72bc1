import { AppError } from '@skein/contracts';
import type { Clock } from '@skein/service-kit';
import type { Sha256 } from '@skein/sync-core';
import type { RulesOf } from '../domain/rules.ts';
import type { InvitationStore } from './invitation-store.ts';
import type { LiveHub, LivePeers } from './live/live-hub.ts';
import type { SpaceNames } from './personal-space.ts';
import type {
  Call,
  ConflictReads,
  DeviceStore,
  DocumentReads,
  History,
  Ids,
  PastStates,
  Snapshots,
  SpaceMaker,
  SpaceReads,
  SpaceView,
  StateHashes,
} from './ports.ts';
import type { Sightings } from './sightings.ts';
import type { Writer } from './writer.ts';

/** What use cases are made of. */
export interface AppParts {
  readonly writer: Writer;
  readonly reads: SpaceReads;
  readonly history: History;
  readonly snapshots: Snapshots;
  readonly pastStates: PastStates;
  readonly stateHashes: StateHashes;
  readonly documents: DocumentReads;
  readonly conflicts: ConflictReads;
  readonly invitations: InvitationStore;
  readonly maker: SpaceMaker;
  readonly devices: DeviceStore;
  readonly sightings: Sightings;
  readonly names: SpaceNames;
  readonly hub: LiveHub;
  readonly peers: LivePeers;
  readonly ids: Ids;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly rulesOf: RulesOf;
  /** Told when a device is gone, so that its last sight is kept. */
  readonly departed: (userId: string, deviceId: string) => void;
}

/** What tells whether somebody is in a space. */
export interface Membership {
  readonly names: SpaceNames;
  readonly reads: Pick<SpaceReads, 'spaceOf'>;
}

/** The space a call names, as the person sees it. What one is not in looks like what is not there. */
export const visibleSpace = async (
  { names, reads }: Membership,
  call: Call,
  name: string,
): Promise<SpaceView> => {
  const id = await names.resolve(call.userId, name);
  const space = await reads.spaceOf(call.userId, id);
  if (!space) throw new AppError('not_found', 'There is no such space');
  return space;
};
