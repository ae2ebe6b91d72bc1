import { platformConfig } from '@skein/platform';
import { type ConfigOf, integer, live, milliseconds, text } from '@skein/service-kit';

/** Every setting of the agent. */
export const config = {
  ...platformConfig,
  AGENT_MODEL_URL: text(
    'Base URL of an OpenAI-compatible API or of Ollama (…/v1); empty: the built-in offline answerer',
    {
      fallback: '',
    },
  ),
  AGENT_MODEL: text('Name of the model at AGENT_MODEL_URL', { fallback: '' }),
  AGENT_MODEL_KEY: text('Key for AGENT_MODEL_URL; empty: none is sent', { fallback: '', secret: true }),
  AGENT_OFFLINE_PACE_MS: live(
    milliseconds('Time between two pieces of an offline answer', {
      max: 10_000,
      fallback: 15,
    }),
  ),
  AGENT_MAX_TURNS: live(
    integer('Answers made at once by this process', {
      min: 1,
      max: 10_000,
      fallback: 64,
      kind: 'turns',
    }),
  ),
  AGENT_TURN_LEASE_MS: milliseconds('How long a turn waits for an owner that was lost', {
    min: 1_000,
    fallback: 10_000,
  }),
  AGENT_TURN_TIMEOUT_MS: live(
    milliseconds('Longest an answer may take before it is failed', {
      min: 1_000,
      fallback: 120_000,
    }),
  ),
};

/** The agent's configuration. */
export type AgentConfig = ConfigOf<typeof config>;
