import { userInfo } from 'node:os';

/** Who runs this process: the name of its account, or the number where that has no name, as in a container. */
export const accountName = (read: () => { readonly username: string } = userInfo): string => {
  try {
    return read().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
};
