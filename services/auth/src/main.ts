import { runService } from '@skein/service-kit';
import { compose } from './compose.ts';
import { authConfig } from './config.ts';

await runService({ name: 'auth', config: authConfig, compose });
