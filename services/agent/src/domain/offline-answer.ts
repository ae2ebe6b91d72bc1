/** What the built-in answerer knows: the question and what it found in the person's own words. */
export interface OfflineMaterial {
  readonly personaName: string;
  readonly question: string;
  /** Earlier messages of the person that match, best first. */
  readonly found: readonly { readonly text: string; readonly timeMs: number }[];
  /** Notes and knowledge documents that match, best first. */
  readonly notes: readonly { readonly title: string; readonly text: string }[];
  /** False when the person has switched memory off: only this conversation was searched. */
  readonly memory: boolean;
}

const quoteLength = 240;

const shorten = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim();
  const points = [...line];
  return points.length <= quoteLength ? line : `${points.slice(0, quoteLength).join('')}…`;
};

const day = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);

const han = /\p{Script=Han}/u;

/** Sentences of the answerer by language; the question's script chooses. */
const phrases = {
  en: {
    honest: (name: string) =>
      `This is ${name}, offline: no language model is set up here, so I answer only from what you told me before.`,
    found: 'This is what I found:',
    said: (date: string) => `On ${date} you wrote:`,
    note: (title: string) => `Your note “${title}” says:`,
    nothing: (question: string) =>
      `I found nothing about “${question}” in your messages and notes. I keep your message, so that I can find it later.`,
    noMemory: 'Your memory switch is off, so I looked only in this conversation.',
    next: 'For real answers, set AGENT_MODEL_URL and AGENT_MODEL to an OpenAI-compatible endpoint or Ollama.',
  },
  zh: {
    honest: (name: string) =>
      `我是 ${name}，目前离线：这里没有配置语言模型，所以我只能根据你以前说过的内容回答。`,
    found: '我找到了这些：',
    said: (date: string) => `${date} 你写道：`,
    note: (title: string) => `你的笔记“${title}”写着：`,
    nothing: (question: string) =>
      `在你的消息和笔记里没有找到关于“${question}”的内容。我已记下这条消息，以后可以找到它。`,
    noMemory: '你的记忆开关已关闭，所以我只查看了本次对话。',
    next: '要得到真正的回答，请把 AGENT_MODEL_URL 和 AGENT_MODEL 设为兼容 OpenAI 的接口或 Ollama。',
  },
} as const;

/** An honest answer without a model: says that it is offline and quotes exactly what it used. */
export const offlineAnswer = (material: OfflineMaterial): string => {
  const say = han.test(material.question) ? phrases.zh : phrases.en;
  const quotes = [
    ...material.notes.map(({ title, text }) => `${say.note(title)}\n> ${shorten(text)}`),
    ...material.found.map(({ text, timeMs }) => `${say.said(day(timeMs))}\n> ${shorten(text)}`),
  ];
  const parts = [
    say.honest(material.personaName),
    ...(material.memory ? [] : [say.noMemory]),
    ...(quotes.length > 0 ? [say.found, ...quotes] : [say.nothing(shorten(material.question))]),
    say.next,
  ];
  return parts.join('\n\n');
};

/** Cuts an answer into the pieces it is streamed in: words, or single characters of scripts without spaces. */
export const pieces = (text: string): string[] =>
  text.match(/\p{Script=Han}|\s*[^\s\p{Script=Han}]+|\s+/gu) ?? [];
