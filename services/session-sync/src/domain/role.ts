/** What a member may do: viewers read, editors also write, owners also manage members. */
export type Role = 'owner' | 'editor' | 'viewer';
