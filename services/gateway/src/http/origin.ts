import type { syncV1 } from '@skein/contracts';
import type { Principal } from '../ports.ts';

/** Where calls come from that name no platform. */
export const restPlatform = 'api';

/**
 * Where a REST call comes from. A REST client is no installation that syncs, so it has no device unless the call
 * names one.
 */
export const restOrigin = (
  device: { id?: string | undefined; platform?: string | undefined } = {},
): syncV1.Origin => ({
  device: { id: device.id ?? '', platform: device.platform ?? restPlatform, name: '' },
});

/** The device of calls that need one (they have a seq, or register it) and name none: one a login or API token. */
export const restDeviceId = (principal: Principal): string =>
  `rest-${principal.sessionId ?? principal.tokenId ?? principal.userId}`;
