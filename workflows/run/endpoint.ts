/**
 * A role served by an OpenAI-compatible endpoint: bounded in time, size and parallel calls, tried again with back-off where the
 * service says it is busy, and never asked the same thing twice. Keys come from the host's environment by name and are in no
 * file. It gives texts alone: no tokens, no probabilities, so such a policy is frozen.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import type { Endpoint } from '../schema/cast.ts';

/** What a place offers for calls that leave this machine. */
export type Network = {
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** A secret by the name of its environment variable. */
  secret(name: string): string | undefined;
  /** Waits; tests pass a clock that does not. */
  wait?(ms: number): Promise<void>;
};

const maxReplyChars = 1_000_000;
const maxTextChars = 100_000;
const maxCached = 10_000;
const firstWaitMs = 500;
const longestWaitMs = 30_000;

const replySchema = z.object({
  choices: z
    .array(z.object({ message: z.object({ content: z.string().nullable() }), finish_reason: z.string().nullish() }))
    .min(1),
});

type Reply = { text: string; finish: Generation['finish'] };

export type EndpointClient = (endpoint: Endpoint, requests: readonly GenerateRequest[]) => Promise<Generation[]>;

/** A client with a memory of its own: the same request to the same service is sent once. Failures are not remembered. */
export function endpointClient(network: Network): EndpointClient {
  const cache = new Map<string, Promise<Reply>>();
  const once = (endpoint: Endpoint, body: string): Promise<Reply> => {
    const key = `${endpoint.url}\n${body}`;
    const known = cache.get(key);
    if (known !== undefined) return known;
    const asked = askPatiently(network, endpoint, body);
    if (cache.size >= maxCached) cache.delete(cache.keys().next().value!);
    cache.set(key, asked);
    asked.catch(() => cache.delete(key));
    return asked;
  };
  return async (endpoint, requests) => {
    const replies = await inParallel(requests, endpoint.parallel, (request) =>
      once(endpoint, bodyOf(endpoint, request)),
    );
    return requests.map((request, i) => generationOf(request, replies[i]));
  };
}

function bodyOf(endpoint: Endpoint, { prompt, sampling }: GenerateRequest): string {
  const messages = 'messages' in prompt ? prompt.messages : [{ role: 'user', content: textPrompt(prompt) }];
  return JSON.stringify({
    model: endpoint.model,
    messages,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    max_tokens: sampling.maxTokens,
    // Services take 31 bits and at most four stop strings.
    seed: sampling.seed >>> 1,
    ...(sampling.stop.length === 0 ? {} : { stop: sampling.stop.slice(0, 4) }),
  });
}

function textPrompt(prompt: Exclude<GenerateRequest['prompt'], { messages: unknown }>): string {
  if ('text' in prompt) return prompt.text;
  throw new Error('An endpoint takes texts, not tokens');
}

/** Tries again while the service is busy or out of reach. Throws a UserError when it refuses or stays so. */
async function askPatiently(network: Network, endpoint: Endpoint, body: string): Promise<Reply> {
  const headers = headersOf(network, endpoint);
  for (let attempt = 0; ; attempt += 1) {
    const outcome = await askOnce(network, endpoint, headers, body);
    if ('reply' in outcome) return outcome.reply;
    if (!outcome.again || attempt >= endpoint.retries)
      throw new UserError(`${endpoint.url} ${outcome.problem}; ${outcome.again ? 'try again later' : outcome.remedy}`);
    const waitMs = outcome.waitMs ?? firstWaitMs * 2 ** attempt;
    await (network.wait ?? sleep)(Math.min(waitMs, longestWaitMs));
  }
}

type Outcome = { reply: Reply } | { problem: string; again: boolean; remedy: string; waitMs?: number };

async function askOnce(
  network: Network,
  endpoint: Endpoint,
  headers: Record<string, string>,
  body: string,
): Promise<Outcome> {
  try {
    const signal = AbortSignal.timeout(endpoint.timeoutMs);
    const init: RequestInit = { method: 'POST', headers, body, signal, redirect: 'error' };
    const response = await network.fetch(`${endpoint.url.replace(/\/+$/, '')}/chat/completions`, init);
    const text = await boundedText(response);
    if (text === null)
      return { problem: 'sent more than a million characters', again: false, remedy: 'lower maxTokens' };
    if (!response.ok) return refused(response, text);
    return { reply: replyOf(text) };
  } catch (error) {
    if (error instanceof UserError)
      return { problem: error.message, again: false, remedy: 'use a service that speaks the OpenAI protocol' };
    const reason = error instanceof Error && error.name === 'TimeoutError' ? 'timed out' : 'could not be reached';
    return { problem: reason, again: true, remedy: '' };
  }
}

function refused(response: Response, text: string): Outcome {
  const again = response.status === 408 || response.status === 429 || response.status >= 500;
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return {
    problem: `answered ${response.status}: ${text.replace(/\s+/gu, ' ').slice(0, 160)}`,
    again,
    remedy: response.status === 401 || response.status === 403 ? 'check the key' : 'check the address and the model',
    ...(again && seconds >= 0 ? { waitMs: seconds * 1_000 } : {}),
  };
}

function replyOf(text: string): Reply {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new UserError(`sent what is no JSON: ${text.slice(0, 60)}`);
  }
  const parsed = replySchema.safeParse(json);
  if (!parsed.success) throw new UserError(`sent no answer: ${text.slice(0, 60)}`);
  const [{ message, finish_reason: reason }] = parsed.data.choices;
  return {
    text: (message.content ?? '').slice(0, maxTextChars),
    // A service does not say whether it ended by itself or at a stop string; both are an end.
    finish: reason === 'length' ? 'length' : 'stop-string',
  };
}

/** The body as text, or null where it is longer than any answer. */
async function boundedText(response: Response): Promise<string | null> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    if (text.length > maxReplyChars) {
      await reader.cancel();
      return null;
    }
  }
}

function headersOf(network: Network, { url, keyFrom }: Endpoint): Record<string, string> {
  const headers = { 'content-type': 'application/json' };
  if (keyFrom === undefined) return headers;
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'https:' && !['localhost', '127.0.0.1', '[::1]'].includes(hostname))
    throw new UserError(`A key is not sent over an open connection: ${url}; use https`);
  const key = network.secret(keyFrom);
  if (key === undefined || key === '')
    throw new UserError(`The key for ${url} is not in the environment: ${keyFrom}; set it and start again`);
  return { ...headers, authorization: `Bearer ${key}` };
}

function generationOf({ record }: GenerateRequest, { text, finish }: Reply): Generation {
  return { record, promptIds: [], ids: [], pieces: [], text, logprobs: [], entropy: [], finish };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** At most `limit` at once, results in order; the first failure ends it. */
async function inParallel<In, Out>(
  items: readonly In[],
  limit: number,
  work: (item: In) => Promise<Out>,
): Promise<Out[]> {
  const results: Out[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const at = next++;
      results[at] = await work(items[at]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
