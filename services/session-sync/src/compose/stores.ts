import { nativeSha256 } from '../adapters/native-sha256.ts';
import { postgresConflicts } from '../adapters/postgres-conflicts.ts';
import { postgresDevices } from '../adapters/postgres-devices.ts';
import { postgresDocuments } from '../adapters/postgres-documents.ts';
import { postgresHistory } from '../adapters/postgres-history.ts';
import { postgresInvitations } from '../adapters/postgres-invitations.ts';
import { postgresPastStates } from '../adapters/postgres-past-states.ts';
import { postgresSnapshots } from '../adapters/postgres-snapshots.ts';
import { postgresSpaceMaker, postgresSpaceReads } from '../adapters/postgres-space-reads.ts';
import { postgresStateHashes } from '../adapters/postgres-state-hashes.ts';
import { spaceNames } from '../app/personal-space.ts';
import { createSightings } from '../app/sightings.ts';
import type { Base } from './base.ts';

/** What is read and kept beside the log, and what gives its rows ids, times and hashes. */
export const storeParts = ({ database, ids, clock }: Base) => {
  const devices = postgresDevices(database);
  const maker = postgresSpaceMaker(database);
  return {
    reads: postgresSpaceReads(database),
    history: postgresHistory(database),
    snapshots: postgresSnapshots(database),
    pastStates: postgresPastStates(database),
    stateHashes: postgresStateHashes(database),
    documents: postgresDocuments(database),
    conflicts: postgresConflicts(database),
    invitations: postgresInvitations(database),
    maker,
    devices,
    sightings: createSightings(devices, clock),
    names: spaceNames(maker, ids, clock),
    ids,
    clock,
    sha256: nativeSha256,
  };
};
