import { generatedFolder, generateInto } from './generated-code.ts';
import { must, root } from './run.ts';

await generateInto(root);
console.log(`generated ${generatedFolder} from proto/`);
process.stdout.write(await must(process.execPath, ['tools/reference/main.ts', 'write']));
