/** Settings of a server for a handful of services on one machine: small in memory and processes, safe on disk. */
export const serverSettings = (maxConnections: number) => ({
  max_connections: maxConnections,
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  shared_buffers: '16MB',
  wal_buffers: '1MB',
  work_mem: '2MB',
  maintenance_work_mem: '16MB',
  max_wal_size: '256MB',
  min_wal_size: '32MB',
  // No replicas: less to log, and no sender or launcher processes.
  wal_level: 'minimal',
  max_wal_senders: 0,
  max_logical_replication_workers: 0,
  max_parallel_workers: 0,
  max_parallel_workers_per_gather: 0,
  autovacuum_max_workers: 1,
  // Input and output in the backends themselves instead of three worker processes.
  io_method: 'sync',
  jit: 'off',
  huge_pages: 'off',
  password_encryption: 'scram-sha-256',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'warning',
  log_checkpoints: 'off',
  // Statement texts may hold personal data.
  log_min_error_statement: 'panic',
  // Shown in the process titles.
  cluster_name: 'skein',
  log_line_prefix: '%m [%p] ',
});
