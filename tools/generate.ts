import { generatedFolder, generateInto } from './generated-code.ts';
import { referencePages, writeReferencePages } from './reference/pages.ts';
import { root } from './run.ts';

await generateInto(root);
console.log(`generated ${generatedFolder} from proto/`);
await writeReferencePages(root);
for (const path of Object.keys(referencePages)) console.log(`generated ${path} from the code`);
