/** Whom the fake gateway offers. */
export const personas = [
  { id: 'cruz', name: 'CRUZ', description: 'The all-round assistant: plans, answers and remembers.' },
  { id: 'coordinator', name: 'Coordinator', description: 'Breaks work into steps and hands them out.' },
  { id: 'backend-dev', name: 'Backend developer', description: 'Designs APIs, writes and reviews services.' },
  {
    id: 'data-analyst',
    name: 'Data analyst',
    description: 'Questions data, explains what it says and what not.',
  },
];

/** What the answerer says; the words of the message choose. */
export const answers = {
  long: `A **skein** keeps every strand in order, and so does the log behind this conversation.

### How an answer reaches you

1. The message is committed at one *offset* of your space.
2. The turn starts, and tokens go to all of your devices:
   - the browser you are looking at,
   - the terminal next to it, and [anything else](https://example.com/devices).
3. The end of the turn carries the whole text.

\`\`\`ts
export function apply(have: string, from: number, text: string): string {
  return firstCodePoints(have, from) + text; // code points, not UTF-16
}
\`\`\`

> Nothing is lost and nothing comes twice.

Inline code looks like \`offset + 1\`, and 中文也能正常显示。`,
  short: 'Here is a short answer. 好的，已经记下了。',
} as const;
