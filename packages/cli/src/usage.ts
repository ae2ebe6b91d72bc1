/** The command line cannot be used; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What `--help` prints. */
export const help = `skein: look after a running mesh.

  skein dead-letters list [--service NAME]      events that consumers have given up
  skein dead-letters retry ID... --reason TEXT  have them handled again, now; every effect happens once
  skein dead-letters drop ID... --reason TEXT   forget them: they will have no effect
  skein events replay --service NAME --from TIME --reason TEXT
                                                publish again what auth or session-sync wrote since then
  skein sagas list [--state STATE] [--service NAME]
                                                operations of several steps; those that wait for you unless said
  skein sagas VERB ID... --reason TEXT          cancel, compensate, retry, park, skip, force-complete or kill them;
                                                skip takes --value JSON, what the step would have given
  skein ledger verify [SPACE]                   check the integrity ledger of a space of yours [personal]
  skein config get [SCOPE [NAME]]               the settings of the config centre; a scope is a service, or all
  skein config set SCOPE NAME=VALUE...          change some, while services run
  skein config unset SCOPE NAME...              back to the default
  skein config import FILE                      YAML or JSON: replaces the scopes that are in it
  skein config export [FILE]                    as a file that can be imported
  skein config watch                            each change as it is made
  skein config summary [SERVICE]                what running services have for settings, and where from
  skein db reanchor --reason TEXT               after a restore, an import or a fail-over that lost something,
                                                while all services are stopped
  skein db rebuild --reason TEXT                build the tables of session-sync that follow from its log again,
                                                while all services run
  skein db cancel-rebuild --reason TEXT         end that before it is through

Options
  --json                    one JSON object a line
  --dry-run                 config set, unset, import: only say what would change
  --help                    this page

Environment
  SKEIN_URL                 the gateway [http://127.0.0.1:8002]
  SKEIN_TOKEN               an API token with the scope operator, or an operator's access token; for ledger: the
                            token of somebody in the space
  CONFIG_URL                for config: file:/path or consul://:token@host:port[/folder]
  DATABASE_URL              for db: the database of the services, as a user who owns their schemas

Exit codes: 0 done, 1 refused or failed, 64 wrong command line.
`;
