import { generatedFolder, generateInto } from './generated-code.ts';
import { root } from './run.ts';

await generateInto(root);
console.log(`generated ${generatedFolder} from proto/`);
