/**
 * In the `returning` of a statement that is its own transaction: its commit does not wait for the disk, which would be
 * half of all the waiting there is. Only for what can be made again from what was committed before: a crash of the
 * server takes the last such commits, in the order in which they were made, so a position is never kept without what it
 * stands for. A relay then publishes again, a consumer is delivered to again, and both are known by their ids.
 */
export const unsynced = `set_config('synchronous_commit', 'off', true)`;
