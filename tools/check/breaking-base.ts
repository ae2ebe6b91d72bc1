import { run } from '../run.ts';

const git = (...args: string[]) => run('git', args);

const commitOf = async (revision: string): Promise<string | undefined> => {
  const { code, output } = await git('rev-parse', '--verify', '--quiet', `${revision}^{commit}`);
  return code === 0 ? output.trim() : undefined;
};

const hasProtos = async (commit: string): Promise<boolean> =>
  (await git('ls-tree', '-r', '--name-only', commit, '--', 'proto')).output.includes('.proto');

/**
 * The commit whose protos today's must stay compatible with: the last release, and before the first one the last
 * commit — the one before it when the work tree has no change of its own. Nothing when that has no protos.
 */
export const breakingBase = async (): Promise<string | undefined> => {
  const release = await git('describe', '--tags', '--abbrev=0', '--match', 'v*');
  const changed = (await git('status', '--porcelain', '--', 'proto')).output.trim() !== '';
  const revision = release.code === 0 ? release.output.trim() : changed ? 'HEAD' : 'HEAD~1';
  const commit = await commitOf(revision);
  return commit && (await hasProtos(commit)) ? commit : undefined;
};
