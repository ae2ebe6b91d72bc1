/** Where a command tells what it found and did. */
export interface Screen {
  /** One thing: its fields for programs, its text for people. */
  row(fields: Readonly<Record<string, unknown>>, text: string): void;
  /** A sentence for people. */
  say(sentence: string): void;
}

/** Texts, or with `json` one object a line and no sentences. */
export const screenOf = (json: boolean, write: (line: string) => void): Screen => ({
  row: (fields, text) => write(json ? JSON.stringify(fields) : text),
  say: (sentence) => {
    if (!json) write(sentence);
  },
});
