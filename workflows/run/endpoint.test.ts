/** A service elsewhere, played by a script: what is sent, what is tried again, what is refused, what is remembered. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import type { GenerateRequest } from '../../engine/protocol.ts';
import { castSchema, policySchema } from '../schema/cast.ts';
import { parseCast } from '../schema/migrate.ts';
import { templateWorkflow } from '../templates/index.ts';
import { answering } from './answering.ts';
import type { Network } from './endpoint.ts';
import { postWith } from './endpoint-post.ts';
import { recordOf, rewardsOf, runOne, scripted } from './test-support.ts';

type Answer = { status?: number; body?: unknown; headers?: Record<string, string> } | Error;
type Sent = { url: string; headers: Record<string, string>; body: Record<string, unknown> };

function service(...answers: Answer[]): { network: Network; sent: Sent[]; waits: number[] } {
  const sent: Sent[] = [];
  const waits: number[] = [];
  const network: Network = {
    post: postWith(async (url, init = {}) => {
      sent.push({
        url: String(url),
        headers: init.headers as Record<string, string>,
        body: JSON.parse(init.body as string),
      });
      const answer = answers[Math.min(sent.length, answers.length) - 1];
      if (answer instanceof Error) throw answer;
      const { status = 200, body = said('Oakton'), headers = {} } = answer;
      return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
    }, secretOf),
    wait: async (ms) => void waits.push(ms),
  };
  return { network, sent, waits };
}
const secretOf = (name: string) => (name === 'MY_KEY' ? 's3cret' : undefined);
const said = (content: string | null, finish = 'stop') => ({
  choices: [{ message: { content }, finish_reason: finish }],
});

const by = {
  kind: 'endpoint',
  url: 'https://api.example.com/v1',
  model: 'big',
  keyFrom: 'MY_KEY',
  retries: 2,
} as const;
const castBy = (more: object) =>
  castSchema.parse({
    name: 'c',
    policies: { far: { model: 'none', method: { kind: 'full' }, frozen: true, by: { ...by, ...more } } },
    roles: {},
  });
const request = (content = 'Where?', seed = 6): GenerateRequest => ({
  record: `r/${content}`,
  prompt: { messages: [{ role: 'user', content }] },
  sampling: { temperature: 1, topK: 0, topP: 0.9, minP: 0, maxTokens: 16, stop: ['</a>'], seed },
  keep: false,
});
const never = () => Promise.reject(new Error('the engine was asked'));
const ask = (network: Network, requests = [request()], more = {}) =>
  answering(castBy(more), never, { network })('far', requests);

describe('a role served by an endpoint', () => {
  it('sends messages and sampling, with the key from the environment, and gives the text', async () => {
    const { network, sent } = service({});
    const [answer] = await ask(network);
    expect(sent).toEqual([
      {
        url: 'https://api.example.com/v1/chat/completions',
        headers: { 'content-type': 'application/json', authorization: 'Bearer s3cret' },
        body: {
          model: 'big',
          messages: [{ role: 'user', content: 'Where?' }],
          temperature: 1,
          top_p: 0.9,
          max_tokens: 16,
          seed: 3,
          stop: ['</a>'],
        },
      },
    ]);
    expect(answer).toMatchObject({ record: 'r/Where?', text: 'Oakton', finish: 'stop-string', ids: [] });
    const [cut] = await ask(service({ body: said('Oak', 'length') }).network);
    expect(cut.finish).toBe('length');
  });

  it('asks the same once, also when it is asked twice at the same time', async () => {
    const { network, sent } = service({});
    const same = request();
    await ask(network, [same, { ...same, record: 'other' }, request('else')]);
    await ask(network, [same]);
    expect(sent.map(({ body }) => (body['messages'] as { content: string }[])[0].content)).toEqual(['Where?', 'else']);
    await ask(network, [request('Where?', 7_000)]);
    expect(sent.length).toBe(3);
  });

  it('tries a busy service again, later and later, or when it says', async () => {
    const busy = service({ status: 503, body: 'busy' }, new TypeError('fetch failed'), {});
    expect((await ask(busy.network))[0].text).toBe('Oakton');
    expect(busy.waits).toEqual([500, 1_000]);
    const told = service({ status: 429, headers: { 'retry-after': '7' } }, {});
    await ask(told.network);
    expect(told.waits).toEqual([7_000]);
    const long = service({ status: 429, headers: { 'retry-after': '9999' } }, {});
    await ask(long.network);
    expect(long.waits).toEqual([30_000]);
  });

  it.each<[string, Answer, object, string, number]>([
    ['stays busy', { status: 500, body: 'down' }, {}, 'answered 500: down; try again later', 3],
    ['refuses the key', { status: 401, body: 'who?' }, {}, 'answered 401: who?; check the key', 1],
    ['knows no such model', { status: 404, body: 'no' }, {}, 'check the address and the model', 1],
    ['speaks another language', { body: '<html>' }, {}, 'sent what is no JSON: <html>', 1],
    ['gives no answer', { body: { choices: [] } }, {}, 'sent no answer', 1],
    ['never stops', { body: 'x'.repeat(1_000_001) }, {}, 'more than a million characters', 1],
    ['needs a key nobody set', {}, { keyFrom: 'OTHER' }, 'not in the environment: OTHER', 0],
    ['would see the key in the open', {}, { url: 'http://example.com/v1' }, 'A key is not sent over an open', 0],
  ])('says so in a sentence when the service %s', async (_, answer, more, message, calls) => {
    const { network, sent } = service(answer);
    await expect(ask(network, [request()], more)).rejects.toThrow(UserError);
    expect(sent.length).toBe(calls);
    await expect(ask(network, [request()], more)).rejects.toThrow(message);
  });

  it('asks only so many at once', async () => {
    let now = 0;
    let most = 0;
    const network: Network = {
      post: postWith(async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 2));
        now -= 1;
        return new Response(JSON.stringify(said('x')));
      }, secretOf),
    };
    const requests = Array.from({ length: 10 }, (_, i) => request(`q${i}`));
    const answers = await ask(network, requests, { parallel: 3 });
    expect(most).toBe(3);
    expect(answers.map(({ record }) => record)).toEqual(requests.map(({ record }) => record));
  });
});

describe('roles that are no models of this machine', () => {
  const flow = templateWorkflow('qd-answer');
  const cast = castSchema.parse({
    name: 'mixed',
    policies: {
      person: { model: 'none', method: { kind: 'full' }, frozen: true, by: { kind: 'person' } },
      small: { model: 'nano', method: { kind: 'full' } },
    },
    roles: { decomposer: 'person', answerer: 'small' },
  });
  const query = { id: 'x', question: 'Where does Mira live?', answers: ['Oakton'] };
  const task = { corpus: [{ title: 'Mira', text: 'lives in Oakton.' }] };

  it('play beside those that learn, and are not trained', async () => {
    const { generate, calls } = scripted(() => 'Oakton');
    const asked: string[] = [];
    const outside = {
      ask: async ({ messages }: { messages: readonly { content: string }[] }) => {
        asked.push(messages.at(-1)!.content);
        return '<q>Mira</q>';
      },
    };
    const trace = await runOne(flow, query, answering(cast, generate, outside), { cast, task });
    expect(asked).toEqual(['Text: Where does Mira live?']);
    expect(calls).toEqual([{ policy: 'small', nodes: ['answer'] }]);
    expect(recordOf(trace, 'decompose#0')).toMatchObject({ text: '<q>Mira</q>', legal: true, trainable: false });
    expect(rewardsOf(trace)).toEqual({ 'answer#0': 1 });
  });

  it('may take longer than a node may where they are people', async () => {
    const { generate } = scripted(() => 'Oakton');
    const hurried = {
      ...flow,
      nodes: flow.nodes.map((node) => (node.kind === 'role' ? { ...node, timeoutMs: 20 } : node)),
    };
    const outside = { ask: () => new Promise<string>((settle) => setTimeout(settle, 200, '<q>Mira</q>')) };
    const trace = await runOne(hurried, query, answering(cast, generate, outside), { cast, task });
    expect(trace).toMatchObject({ status: 'done', answer: 'Oakton' });
  });

  it('are refused where nobody can be asked, and where they should learn', async () => {
    const { generate } = scripted(() => '');
    await expect(answering(cast, generate)('person', [])).rejects.toThrow('nobody to ask here for the policy person');
    expect(() => answering(castBy({}), generate)('far', [])).toThrow('in the desktop window or the terminal');
    const learning = { model: 'none', method: { kind: 'full' }, by };
    expect(policySchema.safeParse(learning).error?.issues[0].message).toContain('set "frozen": true');
    expect(() => parseCast({ ...cast, policies: { person: { ...cast.policies['person'], frozen: false } } })).toThrow(
      'does not fit at policies.person.frozen',
    );
  });

  it('come back from JSON as they were, and the file holds no key', () => {
    const kept = castBy({});
    expect(parseCast(JSON.parse(JSON.stringify(kept)))).toEqual(kept);
    expect(parseCast({ ...kept, version: 1 }).version).toBe(2);
    expect(() => parseCast(JSON.parse(JSON.stringify(kept).replace('MY_KEY', 'sk-123abc')))).toThrow(
      'the key itself stays out',
    );
  });
});
