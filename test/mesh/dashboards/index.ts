import { agent } from './agent.ts';
import { auth } from './auth.ts';
import type { Board } from './board.ts';
import { dependencies } from './dependencies.ts';
import { events } from './events.ts';
import { gateway } from './gateway.ts';
import { overview } from './overview.ts';
import { sessionSync } from './session-sync.ts';

/** Every dashboard, the one to begin with first. */
export const boards: readonly Board[] = [overview, gateway, sessionSync, agent, auth, events, dependencies];
