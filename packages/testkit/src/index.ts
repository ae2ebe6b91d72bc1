export {
  type ChatAnswer,
  type ChatRequest,
  type FakeChatCompletions,
  fakeChatCompletions,
} from './chat-completions.ts';
