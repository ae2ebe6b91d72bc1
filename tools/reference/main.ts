import { root } from '../run.ts';
import { referenceDrift, referencePages, writeReferencePages } from './pages.ts';

// A process of its own: it loads the product, and the other tools must work when the product does not.
if (process.argv[2] === 'write') {
  await writeReferencePages(root);
  for (const path of Object.keys(referencePages)) console.log(`generated ${path} from the code`);
} else {
  const drifted = await referenceDrift(root);
  for (const path of drifted) console.log(`${path} is not what the code says: run "npm run generate"`);
  process.exitCode = drifted.length === 0 ? 0 : 1;
}
