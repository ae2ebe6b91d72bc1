import { runService } from '@skein/service-kit';
import { compose } from './compose.ts';
import { userConfig } from './config.ts';

await runService({ name: 'user', config: userConfig, compose });
