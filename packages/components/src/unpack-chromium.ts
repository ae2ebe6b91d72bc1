import chromium from '@sparticuz/chromium';

// Run as a process of its own with TMPDIR set: the package always unpacks into the temporary directory, and takes
// whatever lies there under the right name for the finished program. A fresh directory keeps half-written ones out.
await chromium.executablePath();
