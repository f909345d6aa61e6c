import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import type { GenerateRequest } from '../../engine/protocol.ts';
import { assignRewards } from '../rewards/assign.ts';
import { castSchema } from '../schema/cast.ts';
import { traceSchema } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import type { Query } from '../tasks/task.ts';
import { templateWorkflow } from '../templates/index.ts';
import type { Generate } from './runner.ts';
import {
  castOf,
  edge,
  generation,
  lastMessage,
  nodeOf,
  plainRole,
  run,
  scripted,
  text,
  workflow,
} from './test-support.ts';

const input = { id: 'ask', kind: 'input' as const, outputs: [text('question')] };
const output = { id: 'end', kind: 'output' as const, inputs: [text('answer')] };
const question = (id: string, asked = `question ${id}`): Query => ({ id, question: asked, answers: ['yes it is'] });

describe('QD-Answer over a batch', () => {
  const corpus = [
    { title: 'Mira', text: 'lives in Oakton. keeps a cat.' },
    { title: 'Tom', text: 'lives in Reedham. keeps a dog.' },
  ];
  const queries: Query[] = [
    { id: 'a', question: 'Where does Mira live?', answers: ['Oakton'] },
    { id: 'b', question: 'Where does Tom live?', answers: ['Reedham'] },
  ];
  const flow = templateWorkflow('qd-answer');
  const { generate, calls } = scripted((node, prompt) =>
    node === 'decompose'
      ? prompt.includes('Mira')
        ? '<q>Mira</q>'
        : 'Tom'
      : (/lives in (\w+)/.exec(prompt)?.[1] ?? '?'),
  );

  it('searches, answers, scores and rewards every query, with one call a wave', async () => {
    const traces = await run(flow, queries, generate, { task: { corpus } });
    expect(calls.map((call) => call.nodes)).toEqual([
      ['decompose', 'decompose'],
      ['answer', 'answer'],
    ]);
    expect(traces.map((trace) => [trace.id, trace.status, trace.answer, trace.score.f1])).toEqual([
      ['3-train-a', 'done', 'Oakton', 1],
      ['3-train-b', 'done', 'Reedham', 1],
    ]);
    const [good, bad] = traces.map((trace) => assignRewards(flow, castOf(flow), trace));
    expect(traceSchema.parse(JSON.parse(JSON.stringify(good)))).toEqual(good);
    expect(good.records.map((record) => record.id)).toEqual([
      'question#0',
      'decompose#0',
      'search#0',
      'answer#0',
      'result#0',
    ]);
    expect(good.records[3].parents).toEqual(['question#0', 'search#0']);
    expect(good.records[1].reward).toBe(1);
    expect(bad.records[1]).toMatchObject({ legal: false, reward: 0.7, outputs: { questions: ['Tom'] } });
    expect(bad.records[3].reward).toBe(1);
    expect(good.records[1].tokens?.logprobs.length).toBe(good.records[1].length);
  });

  it('keeps tokens only for training, and draws other seeds at another step', async () => {
    const seen: GenerateRequest[] = [];
    const spy: Generate = (policy, requests) => {
      seen.push(...requests);
      return generate(policy, requests);
    };
    for (const [phase, step] of [
      ['train', 1],
      ['train', 2],
      ['eval', 1],
      ['eval', 2],
    ] as const)
      await run(flow, queries.slice(0, 1), spy, { task: { corpus }, phase, step });
    const first = seen.filter((request) => nodeOf(request) === 'decompose');
    expect(first.map((request) => request.keep)).toEqual([true, true, false, false]);
    expect(first.map((request) => request.sampling.temperature)).toEqual([1, 1, 0, 0]);
    expect(first[0].sampling.seed).not.toBe(first[1].sampling.seed);
    expect(first[2].sampling.seed).toBe(first[3].sampling.seed);
  });

  it('batches by policy and keeps nothing of a frozen one', async () => {
    const cast = castOf(flow, (role) => role, ['decomposer']);
    const kept: [string, boolean][] = [];
    const spy: Generate = (policy, requests) => {
      for (const request of requests) kept.push([policy, request.keep]);
      return generate(policy, requests);
    };
    const [trace] = await run(flow, queries.slice(0, 1), spy, { cast, task: { corpus } });
    expect(kept).toEqual([
      ['decomposer', false],
      ['answerer', true],
    ]);
    expect(assignRewards(flow, cast, trace).records.map((record) => record.reward)).toEqual([
      undefined,
      undefined,
      undefined,
      1,
      undefined,
    ]);
  });

  it('goes on with empty passages when a tool fails, and records why', async () => {
    const [trace] = await run(flow, queries.slice(0, 1), generate);
    expect(trace.records[2].error).toContain('nothing to search in');
    expect(trace).toMatchObject({ status: 'done', answer: '?' });
  });
});

describe('frontier execution', () => {
  it('runs parallel branches in one wave and joins them', async () => {
    const flow = workflow({
      roles: { worker: plainRole('{{question}}'), join: plainRole('{{a}}+{{b}}', 'answer') },
      nodes: [
        input,
        { id: 'one', kind: 'role', role: 'worker', inputs: [text('question')] },
        { id: 'two', kind: 'role', role: 'worker', inputs: [text('question')] },
        { id: 'both', kind: 'role', role: 'join', inputs: [text('a'), text('b')] },
        output,
      ],
      edges: [
        ['ask.question', 'one.question'],
        ['ask.question', 'two.question'],
        ['one.out', 'both.a'],
        ['two.out', 'both.b'],
        ['both.answer', 'end.answer'],
      ],
    });
    const { generate, calls } = scripted((node, prompt) => (node === 'both' ? prompt : node));
    const traces = await run(flow, [question('x'), question('y')], generate);
    expect(calls.map((call) => call.nodes)).toEqual([
      ['one', 'two', 'one', 'two'],
      ['both', 'both'],
    ]);
    expect(traces.map((trace) => trace.answer)).toEqual(['one+two', 'one+two']);
  });

  it('takes one branch of a router, skips the other and fires the join behind it', async () => {
    const flow = workflow({
      roles: { worker: plainRole('{{question}}') },
      nodes: [
        input,
        {
          id: 'which',
          kind: 'router',
          inputs: [text('question')],
          branches: [{ name: 'long', when: 'size(question) > 8' }],
          otherwise: 'short',
        },
        { id: 'slow', kind: 'role', role: 'worker', inputs: [text('question')] },
        { id: 'quick', kind: 'role', role: 'worker', inputs: [text('question')] },
        {
          id: 'join',
          kind: 'compute',
          inputs: [text('a', true), text('b', true)],
          output: text('answer'),
          expression: '(a == null ? "" : a) + "|" + (b == null ? "" : b)',
        },
        output,
      ],
      edges: [
        ['ask.question', 'which.question'],
        ['which.long', 'slow.question'],
        ['which.short', 'quick.question'],
        ['slow.out', 'join.a'],
        ['quick.out', 'join.b'],
        ['join.answer', 'end.answer'],
      ],
    });
    const { generate } = scripted((node) => node);
    const traces = await run(flow, [question('x', 'tiny'), question('y', 'a long question')], generate);
    expect(traces.map((trace) => trace.answer)).toEqual(['|quick', 'slow|']);
    expect(traces.map((trace) => trace.records.map((record) => record.node))).toEqual([
      ['ask', 'which', 'quick', 'join', 'end'],
      ['ask', 'which', 'slow', 'join', 'end'],
    ]);
  });

  const reviseLoop = (limit: number, until: string): Workflow =>
    workflow({
      roles: { writer: plainRole('{{draft}} of {{question}}') },
      nodes: [
        input,
        { id: 'turns', kind: 'loop', type: 'text', limit, until },
        { id: 'write', kind: 'role', role: 'writer', inputs: [text('draft'), text('question')] },
        output,
      ],
      edges: [
        ['ask.question', 'turns.in'],
        ['ask.question', 'write.question'],
        ['turns.body', 'write.draft'],
        ['write.out', 'turns.again'],
        ['turns.done', 'end.answer'],
      ],
    });

  it('loops until the limit, keeping values from outside the loop', async () => {
    const { generate, calls } = scripted((_, prompt) => `${prompt.length}`);
    const [trace] = await run(reviseLoop(3, 'false'), [question('x', 'Q')], generate);
    expect(calls.length).toBe(3);
    expect(trace.records.map((record) => record.id)).toEqual([
      'ask#0',
      'turns#0',
      'write#0',
      'turns#1',
      'write#1',
      'turns#2',
      'write#2',
      'turns#3',
      'end#0',
    ]);
    expect(trace.answer).toBe('6');
    expect(new Set(trace.records.filter((record) => record.seed).map((record) => record.seed)).size).toBe(3);
  });

  it('stops a loop as soon as its condition holds', async () => {
    const { generate } = scripted(() => 'good');
    const [trace] = await run(reviseLoop(9, 'turn > 0 && value == "good"'), [question('x', 'Q')], generate);
    expect(trace.records.filter((record) => record.node === 'write').length).toBe(1);
    expect(trace.answer).toBe('good');
  });

  it('leaves a loop through a router inside it, or at its limit', async () => {
    const flow = workflow({
      roles: { writer: plainRole('{{draft}}') },
      nodes: [
        input,
        { id: 'turns', kind: 'loop', type: 'text', limit: 3 },
        { id: 'write', kind: 'role', role: 'writer', inputs: [text('draft')] },
        {
          id: 'judge',
          kind: 'router',
          inputs: [text('draft')],
          branches: [{ name: 'accept', when: 'draft.endsWith("ok")' }],
          otherwise: 'revise',
        },
        output,
      ],
      edges: [
        ['ask.question', 'turns.in'],
        ['turns.body', 'write.draft'],
        ['write.out', 'judge.draft'],
        ['judge.revise', 'turns.again'],
        ['judge.accept', 'end.answer'],
        ['turns.done', 'end.answer'],
      ],
    });
    const { generate } = scripted((_, prompt) => (prompt === 'x1' ? 'x1ok' : prompt.startsWith('x') ? 'x1' : 'never'));
    const traces = await run(flow, [question('a', 'x'), question('b', 'y')], generate);
    expect(traces.map((trace) => trace.answer)).toEqual(['x1ok', 'never']);
    expect(traces.map((trace) => trace.records.filter((record) => record.node === 'write').length)).toEqual([2, 3]);
  });

  it('runs a loop inside a loop afresh each time', async () => {
    const flow = workflow({
      roles: { inner: plainRole('{{v}}i') },
      nodes: [
        input,
        { id: 'outer', kind: 'loop', type: 'text', limit: 2 },
        { id: 'inner', kind: 'loop', type: 'text', limit: 3 },
        { id: 'step', kind: 'role', role: 'inner', inputs: [text('v')] },
        { id: 'mark', kind: 'compute', inputs: [text('v')], output: text('out'), expression: 'v + "o"' },
        output,
      ],
      edges: [
        ['ask.question', 'outer.in'],
        ['outer.body', 'inner.in'],
        ['inner.body', 'step.v'],
        ['step.out', 'inner.again'],
        ['inner.done', 'mark.v'],
        ['mark.out', 'outer.again'],
        ['outer.done', 'end.answer'],
      ],
    });
    const { generate } = scripted((_, prompt) => prompt);
    const [trace] = await run(flow, [question('x', 'Q')], generate);
    expect(trace.answer).toBe('Qiiioiiio');
  });

  it('reads further inputs at each visit of a loop', async () => {
    const flow = workflow({
      roles: { writer: plainRole('{{draft}}') },
      nodes: [
        input,
        {
          id: 'turns',
          kind: 'loop',
          type: 'text',
          limit: 9,
          inputs: [{ name: 'stop', type: 'flag', optional: true }],
          until: 'stop == true',
        },
        { id: 'write', kind: 'role', role: 'writer', inputs: [text('draft')] },
        {
          id: 'check',
          kind: 'compute',
          inputs: [text('draft')],
          output: { name: 'stop', type: 'flag' },
          expression: 'size(draft) > 3',
        },
        output,
      ],
      edges: [
        ['ask.question', 'turns.in'],
        ['turns.body', 'write.draft'],
        ['write.out', 'turns.again'],
        ['write.out', 'check.draft'],
        ['check.stop', 'turns.stop'],
        ['turns.done', 'end.answer'],
      ],
    });
    const { generate } = scripted((_, prompt) => `${prompt}z`);
    const [trace] = await run(flow, [question('x', 'Q')], generate);
    expect(trace.answer).toBe('Qzzz');
  });
});

describe('what goes wrong', () => {
  const flow = workflow({
    roles: { solver: plainRole('{{question}}', 'answer') },
    nodes: [input, { id: 'solve', kind: 'role', role: 'solver', inputs: [text('question')], timeoutMs: 20 }, output],
    edges: [
      ['ask.question', 'solve.question'],
      ['solve.answer', 'end.answer'],
    ],
  });

  it('drops only the question whose request the engine refuses', async () => {
    const generate: Generate = async (_, requests) => {
      if (requests.some((request) => lastMessage(request).includes('poison')))
        throw new UserError('prompt too long: 9000 tokens; shorten it');
      return requests.map((request) => generation(request, 'fine'));
    };
    const traces = await run(flow, [question('a'), question('b', 'poison'), question('c')], generate);
    expect(traces.map((trace) => trace.status)).toEqual(['done', 'dropped', 'done']);
    expect(traces[1].reason).toContain('prompt too long');
    expect(assignRewards(flow, castOf(flow), traces[1]).records.every((record) => record.reward === undefined)).toBe(
      true,
    );
  });

  it('passes on a refusal that is the same for every question, and every bug', async () => {
    const refuse: Generate = async () => Promise.reject(new UserError('No such policy: main; create it'));
    await expect(run(flow, [question('a'), question('b')], refuse)).rejects.toThrow('No such policy');
    const bug: Generate = async () => Promise.reject(new TypeError('x is undefined'));
    await expect(run(flow, [question('a')], bug)).rejects.toThrow(TypeError);
    await expect(run(flow, [question('a')], async () => [])).rejects.toThrow('no answer for record');
  });

  it('drops questions whose call takes too long or outgrows the context', async () => {
    const [late] = await run(flow, [question('a')], () => new Promise(() => undefined));
    expect(late).toMatchObject({ status: 'dropped', reason: 'solve: timed out after 0.02 s a call' });
    const [long] = await run(flow, [question('a')], async (_, requests) =>
      requests.map((request) => generation(request, '', 'context')),
    );
    expect(long.reason).toContain("longer than the model's context");
  });

  it('counts an unfinished text as illegal and still uses it', async () => {
    const [trace] = await run(flow, [question('a')], async (_, requests) =>
      requests.map((request) => generation(request, 'yes it', 'length')),
    );
    expect(trace.records[1]).toMatchObject({ legal: false, problem: 'not finished within the allowed tokens' });
    expect(trace.answer).toBe('yes it');
    expect(trace.score.f1).toBeCloseTo(0.8);
  });

  it('drops a question when no path reaches an output, or a condition fails', async () => {
    const routed = (when: string): Workflow =>
      workflow({
        roles: {},
        nodes: [
          input,
          {
            id: 'gate',
            kind: 'router',
            inputs: [text('question')],
            branches: [{ name: 'open', when }],
            otherwise: 'shut',
          },
          output,
        ],
        edges: [
          ['ask.question', 'gate.question'],
          ['gate.open', 'end.answer'],
        ],
      });
    const none = scripted(() => '').generate;
    expect((await run(routed('false'), [question('a')], none))[0].reason).toBe('no path reached an output');
    expect((await run(routed('question.nope > 1'), [question('a')], none))[0].reason).toContain(
      'gate: The expression failed',
    );
  });

  it('ends when asked to', async () => {
    await expect(run(flow, [question('a')], scripted(() => 'x').generate, { cancelled: () => true })).rejects.toThrow(
      'cancelled',
    );
  });

  it('refuses casts and graphs that cannot run, with a sentence', async () => {
    const none = scripted(() => '').generate;
    await expect(
      run(flow, [], none, { cast: castSchema.parse({ name: 'c', policies: {}, roles: {} }) }),
    ).rejects.toThrow('has no policy for the role solver');
    await expect(run({ ...flow, edges: [] }, [], none)).rejects.toThrow('Nothing is connected to solve.question');
    await expect(
      run({ ...flow, edges: [...flow.edges, edge('solve.answer', 'solve.question')] }, [], none),
    ).rejects.toThrow('wait for each other for ever');
    await expect(
      run(
        { ...flow, roles: { solver: { ...flow.roles.solver, prompt: { system: '', user: '{{nope}}', few: [] } } } },
        [],
        none,
      ),
    ).rejects.toThrow('{{nope}}');
  });

  it('gives the same trace for the same question twice in a batch, under two ids', async () => {
    const traces = await run(flow, [question('a'), question('a')], scripted(() => 'x').generate);
    expect(traces.map((trace) => trace.id)).toEqual(['3-train-a', '3-train-a~1']);
  });
});
