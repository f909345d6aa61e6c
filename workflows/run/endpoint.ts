/**
 * A role served by an OpenAI-compatible endpoint: bounded in time, size and parallel calls, tried again with back-off where the
 * service says it is busy, and never asked the same thing twice. Keys are named here and put in where the request leaves. It
 * gives texts alone: no tokens, no probabilities, so such a policy is frozen.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import type { Endpoint } from '../schema/cast.ts';

/** What a place offers for calls that leave this machine. */
export type Network = {
  /** Sends one request, with its key. Throws a UserError where it may not be sent; what fails on the way is an answer. */
  post(request: Post): Promise<Posted>;
  /** Waits; tests pass a clock that does not. */
  wait?(ms: number): Promise<void>;
};

export type Post = {
  readonly url: string;
  /** JSON. */
  readonly body: string;
  /** Name of the key that authorises it. */
  readonly keyFrom?: string;
  readonly timeoutMs: number;
};

/** `text` is null where it is longer than any answer; `failed` says why there is no answer at all. */
export type Posted =
  | { readonly status: number; readonly retryAfter: string | null; readonly text: string | null }
  | { readonly failed: 'timed out' | 'could not be reached' };

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
  const { url, keyFrom, timeoutMs } = endpoint;
  const post: Post = {
    url: `${url.replace(/\/+$/, '')}/chat/completions`,
    body,
    timeoutMs,
    ...(keyFrom === undefined ? {} : { keyFrom }),
  };
  for (let attempt = 0; ; attempt += 1) {
    const outcome = outcomeOf(await network.post(post));
    if ('reply' in outcome) return outcome.reply;
    if (!outcome.again || attempt >= endpoint.retries)
      throw new UserError(`${url} ${outcome.problem}; ${outcome.again ? 'try again later' : outcome.remedy}`);
    const waitMs = outcome.waitMs ?? firstWaitMs * 2 ** attempt;
    await (network.wait ?? sleep)(Math.min(waitMs, longestWaitMs));
  }
}

type Refused = { problem: string; again: boolean; remedy: string; waitMs?: number };
type Outcome = { reply: Reply } | Refused;

function outcomeOf(posted: Posted): Outcome {
  if ('failed' in posted) return { problem: posted.failed, again: true, remedy: '' };
  const { text, status } = posted;
  if (text === null) return { problem: 'sent more than a million characters', again: false, remedy: 'lower maxTokens' };
  return status >= 200 && status < 300 ? replyOf(text) : refused(status, posted.retryAfter, text);
}

function refused(status: number, retryAfter: string | null, text: string): Refused {
  const again = status === 408 || status === 429 || status >= 500;
  const seconds = Number(retryAfter ?? Number.NaN);
  return {
    problem: `answered ${status}: ${text.replace(/\s+/gu, ' ').slice(0, 160)}`,
    again,
    remedy: status === 401 || status === 403 ? 'check the key' : 'check the address and the model',
    ...(again && seconds >= 0 ? { waitMs: seconds * 1_000 } : {}),
  };
}

function replyOf(text: string): Outcome {
  const strange = (what: string): Refused => ({
    problem: `${what}: ${text.slice(0, 60)}`,
    again: false,
    remedy: 'use a service that speaks the OpenAI protocol',
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return strange('sent what is no JSON');
  }
  const parsed = replySchema.safeParse(json);
  if (!parsed.success) return strange('sent no answer');
  const [{ message, finish_reason: reason }] = parsed.data.choices;
  return {
    reply: {
      text: (message.content ?? '').slice(0, maxTextChars),
      // A service does not say whether it ended by itself or at a stop string; both are an end.
      finish: reason === 'length' ? 'length' : 'stop-string',
    },
  };
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
