import { runService } from '@skein/service-kit';
import { compose } from './compose.ts';
import { config } from './config.ts';

await runService({ name: 'gateway', config, compose });
