/** 4 MB, the largest message that either side takes: larger things go in pieces. */
export const maxMessageBytes = 4 * 1024 * 1024;

/** Nobody waits longer than this for one answer, whatever the context allows. */
export const maxUnaryMs = 30_000;
