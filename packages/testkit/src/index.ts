export {
  type ChatAnswer,
  type ChatRequest,
  type FakeChatCompletions,
  fakeChatCompletions,
} from './chat-completions.ts';
export { type FaultProxy, type FaultProxyOptions, faultProxy } from './fault-proxy.ts';
export { type ReceivedMail, type SmtpProcess, startSmtp } from './smtp.ts';
