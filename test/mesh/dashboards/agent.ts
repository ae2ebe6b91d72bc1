import type { Board } from './board.ts';
import { perPod, quantiles, rateBy } from './promql.ts';

/** Answers: how many, how soon, how they end. */
export const agent: Board = {
  id: 'agent',
  title: 'Agent',
  rows: [
    {
      title: 'Answers',
      panels: [
        {
          title: 'Answers by outcome',
          unit: 'reqps',
          stacked: true,
          queries: [rateBy('skein_agent_answer_seconds_count', 'outcome')],
        },
        {
          title: 'From the question to the first text',
          unit: 's',
          queries: quantiles('skein_agent_first_text_seconds', { of: [0.5, 0.9, 0.99] }),
        },
        {
          title: 'From the question to the end',
          unit: 's',
          queries: quantiles('skein_agent_answer_seconds', { of: [0.5, 0.9] }),
        },
      ],
    },
    {
      title: 'Work',
      panels: [
        {
          title: 'Answers being made',
          about: 'AGENT_MAX_TURNS at once in a pod; more wait in the table.',
          unit: 'short',
          queries: [perPod('skein_agent_turns_running')],
        },
        {
          title: 'Turns let go of',
          about: 'dropped: another pod takes it up, after an error that its log tells.',
          unit: 'reqps',
          queries: [rateBy('skein_agent_turns_total', 'how')],
        },
      ],
    },
  ],
};
