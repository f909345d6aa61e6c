/** Teams that a role writes: what may run, what is refused, and that none outlives its limits. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { parserSchema, workflowSchema, type Workflow } from '../schema/workflow.ts';
import type { Trace } from '../schema/trace.ts';
import { buildGraph } from './graph.ts';
import { parseText } from './parse.ts';
import { runForks } from './runner.ts';
import { spend, type Inside } from './team.ts';
import { castOf, edge, generation, nodeOf, recordOf, run, scripted } from './test-support.ts';
import { readTeam } from './written-team.ts';

const ask = { title: 'Asker', prompt: { user: '{{question}}' }, parser: { kind: 'text', port: 'answer' } };
const start = { id: 'start', kind: 'input', outputs: [{ name: 'question', type: 'text' }] };
const say = { id: 'say', kind: 'role', role: 'asker', inputs: [{ name: 'question', type: 'text' }] };
const end = { id: 'end', kind: 'output', inputs: [{ name: 'answer', type: 'text' }] };
const wired = (...pairs: [string, string][]) => pairs.map(([from, to]) => edge(from, to));
const simple = {
  roles: { asker: ask },
  nodes: [start, say, end],
  edges: wired(['start.question', 'say.question'], ['say.answer', 'end.answer']),
};
/** A circle around `inside`, from the question to the answer. */
const looped = (limit: number, ...inside: object[]) => ({
  roles: { asker: ask },
  nodes: [start, { id: 'turns', kind: 'loop', type: 'text', limit }, ...inside, end],
  edges: wired(
    ['start.question', 'turns.in'],
    ['turns.body', 'say.question'],
    ['say.answer', 'turns.again'],
    ['turns.done', 'end.answer'],
  ),
});

const rules = { tools: ['bm25'], inputs: [{ name: 'question', type: 'text' as const, optional: false }], nodes: 8 };
const parser = parserSchema.parse({ kind: 'workflow', port: 'team', reasoning: 'why', tools: ['bm25'], nodes: 8 });

describe('a written team is read', () => {
  it('with roles, nodes and edges alone, and nothing else of it counts', () => {
    const team = readTeam({ ...simple, rewards: 7, casts: 'x', name: '../etc', troupe: 'cast' }, rules);
    expect(team).toMatchObject({ name: 'written', rewards: { rules: [] }, casts: {} });
    expect(Object.keys(team.roles)).toEqual(['asker']);
  });

  const nested = (levels: number, fan: number) => ({
    ...simple,
    nodes: [start, { id: 'w', kind: 'workflow', workflow: 'l0' }, end],
    edges: wired(['start.question', 'w.question'], ['w.answer', 'end.answer']),
    workflows: Object.fromEntries(
      Array.from({ length: levels }, (_, level) => [
        `l${level}`,
        {
          nodes: [
            start,
            ...(level + 1 === levels
              ? [say]
              : Array.from({ length: fan }, (_, i) => ({ id: `w${i}`, kind: 'workflow', workflow: `l${level + 1}` }))),
            end,
          ],
          edges: [],
        },
      ]),
    ),
  });

  it.each<[string, unknown, RegExp]>([
    ['a list', [], /one JSON object/],
    ['nothing', null, /one JSON object/],
    ['an empty object', {}, /does not fit at roles/],
    [
      'an unknown node',
      { ...simple, nodes: [start, { id: 'x', kind: 'shell', run: 'rm' }, end] },
      /does not fit at nodes.1/,
    ],
    ['an unknown role', { ...simple, roles: {} }, /plays a role that does not exist: asker/],
    ['an edge into nothing', { ...simple, edges: wired(['start.question', 'say.nope']) }, /no input port|not exist/],
    [
      'a prompt that reads what is not there',
      { ...simple, roles: { asker: { ...ask, prompt: { user: '{{x}}' } } } },
      /reads \{\{x\}\}/,
    ],
    [
      'a circle without a loop',
      { ...simple, edges: [...simple.edges, ...wired(['say.answer', 'say.question'])] },
      /wait for each other/,
    ],
    [
      'a tool it may not use',
      {
        ...simple,
        nodes: [...simple.nodes, { id: 't', kind: 'tool', tool: 'javascript' }],
        edges: [...simple.edges, ...wired(['say.answer', 't.program'])],
      },
      /may not use this tool: javascript; it may use bm25/,
    ],
    [
      'a tool there is not',
      { ...simple, nodes: [...simple.nodes, { id: 't', kind: 'tool', tool: 'shell' }] },
      /no tool of this name/,
    ],
    [
      'a team in a team',
      {
        ...simple,
        roles: { asker: ask, w: { ...ask, parser: { kind: 'workflow', port: 'team' } } },
        nodes: [...simple.nodes, { id: 'more', kind: 'team', writer: 'w', player: 'asker' }],
        edges: [...simple.edges, ...wired(['say.answer', 'more.team'], ['start.question', 'more.question'])],
      },
      /runs no teams: more/,
    ],
    [
      'a role that writes teams',
      { ...simple, roles: { asker: ask, w: { ...ask, parser: { kind: 'workflow', port: 'team' } } } },
      /writes no teams: w/,
    ],
    [
      'an input it is not given',
      { ...simple, nodes: [{ ...start, outputs: [...start.outputs, { name: 'tests', type: 'json' }] }, say, end] },
      /not given tests \(json\)/,
    ],
    [
      'too many nodes',
      { ...simple, nodes: [...simple.nodes, ...Array.from({ length: 8 }, (_, i) => ({ ...say, id: `s${i}` }))] },
      /more than 8 nodes/,
    ],
    ['sub-workflows that double', nested(30, 2), /more than 8 nodes|more than 3 deep/],
    ['sub-workflows too deep', nested(6, 1), /more than 3 deep/],
    ['a name that objects have', { ...simple, roles: { constructor: ask } }, /does not fit at roles/],
  ])('and refused: %s', (_, team, sentence) => {
    expect(() => readTeam(team, rules)).toThrow(UserError);
    expect(() => readTeam(team, rules)).toThrow(sentence);
  });

  it('from any text without breaking', () => {
    const piece = fc.constantFrom(
      '<workflow>',
      '</workflow>',
      '{',
      '}',
      JSON.stringify(simple),
      '[',
      '"roles":',
      '\u0000',
      'a',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.constantFrom('stop', 'length'), (pieces, finish) => {
        const { values, legal, problem } = parseText(parser, pieces.join(''), finish as 'stop');
        expect(values['team'] === null || workflowSchema.safeParse(values['team']).success).toBe(true);
        if (legal) expect(values['team']).not.toBeNull();
        else expect(problem).toBeTruthy();
      }),
    );
    const deep = `<workflow>${'['.repeat(6_000)}${']'.repeat(6_000)}</workflow>`;
    expect(parseText(parser, deep, 'stop').legal).toBe(false);
    expect(parseText(parser, `<workflow>${'1'.repeat(20_000)}</workflow>`, 'stop').problem).toMatch(
      /longer than 12000/,
    );
  });

  it('in its tag, with the reasoning before it; other forms are illegal and still run where a team can be found', () => {
    const json = JSON.stringify(simple);
    const good = parseText(parser, `One call is enough.\n<workflow>${json}</workflow>`, 'stop');
    expect(good).toMatchObject({ legal: true, values: { why: 'One call is enough.', team: { name: 'written' } } });
    const forms: [string, RegExp][] = [
      [json, /no <workflow>/],
      [`<workflow>${json}`, /no <workflow>/],
      [`<workflow>\`\`\`json\n${json}\n\`\`\`</workflow>`, /no JSON/],
      [`<workflow>${json}</workflow> there`, /text after/],
    ];
    for (const [text, problem] of forms) {
      const found = parseText(parser, text, 'stop');
      expect(found.legal).toBe(false);
      expect(found.problem).toMatch(problem);
      expect(found.values['team']).toMatchObject({ name: 'written' });
    }
    expect(parseText(parser, '<workflow>{}</workflow>', 'stop')).toMatchObject({
      legal: false,
      values: { team: null },
    });
  });
});

/** A generator and the team it writes, with nothing to fall back on. */
function around(limits: object = {}): Workflow {
  return workflowSchema.parse({
    troupe: 'workflow',
    version: 2,
    name: 'test',
    title: 'Test',
    roles: {
      writer: {
        title: 'w',
        prompt: { user: '{{question}}' },
        parser: { kind: 'workflow', port: 'team', nodes: 12, tools: ['bm25'] },
      },
      player: { title: 'p', prompt: { user: '{{question}}' }, parser: { kind: 'text', port: 'answer' } },
    },
    nodes: [
      start,
      { id: 'write', kind: 'role', role: 'writer', inputs: [{ name: 'question', type: 'text' }] },
      { id: 'team', kind: 'team', writer: 'writer', player: 'player', ...limits },
      end,
    ],
    edges: wired(
      ['start.question', 'write.question'],
      ['write.team', 'team.team'],
      ['start.question', 'team.question'],
      ['team.answer', 'end.answer'],
    ),
    rewards: { rules: [] },
  });
}

async function build(team: object, limits: object = {}, others = 'yes'): Promise<Trace> {
  const { generate } = scripted((node) => (node === 'write' ? `<workflow>${JSON.stringify(team)}</workflow>` : others));
  const [trace] = await run(around(limits), [{ id: 'x', question: 'Q?', answers: ['yes'] }], generate);
  return trace;
}

describe('a written team runs', () => {
  it('inside its node: its records stand under it, with their parents, played by one role', async () => {
    const trace = await build(simple);
    expect(trace.records.map(({ id }) => id)).toEqual([
      ...['start#0', 'write#0', 'team.start#0', 'team.say#0', 'team.end#0', 'team#0', 'end#0'],
    ]);
    expect(recordOf(trace, 'team.start#0').parents).toEqual(['write#0', 'start#0']);
    expect(recordOf(trace, 'team.say#0')).toMatchObject({
      role: 'player',
      policy: 'main',
      trainable: true,
      title: 'Asker',
    });
    expect(recordOf(trace, 'team#0')).toMatchObject({
      parents: ['write#0', 'start#0', 'team.end#0'],
      outputs: { answer: 'yes' },
    });
    expect(trace).toMatchObject({ status: 'done', answer: 'yes', score: { f1: 1 } });
  });

  it('with several questions in one wave, and each call in one batch with the others', async () => {
    const { generate, calls } = scripted((node) =>
      node === 'write' ? `<workflow>${JSON.stringify(simple)}</workflow>` : 'yes',
    );
    const queries = ['a', 'b', 'c'].map((id) => ({ id, question: id, answers: [] }));
    const traces = await run(around(), queries, generate);
    expect(calls.map(({ nodes }) => nodes)).toEqual([Array(3).fill('write'), Array(3).fill('team.say')]);
    expect(traces.map(({ answer }) => answer)).toEqual(['yes', 'yes', 'yes']);
  });

  it('and is stopped where it asks too often, writes too much or turns for ever; the question goes on', async () => {
    const often = await build(looped(50, say), { calls: 5 });
    expect(often.records.filter(({ node }) => node === 'team.say').length).toBe(5);
    expect(recordOf(often, 'team#0')).toMatchObject({
      outputs: { answer: '' },
      error: expect.stringMatching(/more calls than/),
    });
    const much = await build(looped(50, say), { tokens: 10 });
    // Three characters are three tokens here: 3 + 3 + 3, and the one that is left is the last call's most.
    expect(much.records.filter(({ node }) => node === 'team.say').length).toBe(4);
    expect(recordOf(much, 'team#0').error).toMatch(/more tokens than/);
    const pass = {
      id: 'say',
      kind: 'compute',
      inputs: [{ name: 'question', type: 'text' }],
      output: { name: 'answer', type: 'text' },
      expression: 'question',
    };
    const inner = {
      ...looped(100, pass),
      nodes: [
        start,
        { id: 'turns', kind: 'loop', type: 'text', limit: 100 },
        { id: 'again', kind: 'loop', type: 'text', limit: 100 },
        pass,
        end,
      ],
      edges: wired(
        ['start.question', 'turns.in'],
        ['turns.body', 'again.in'],
        ['again.body', 'say.question'],
        ['say.answer', 'again.again'],
        ['again.done', 'turns.again'],
        ['turns.done', 'end.answer'],
      ),
    };
    const spinning = await build(inner);
    expect(recordOf(spinning, 'team#0').error).toBe('more than 500 steps');
    expect(spinning.status).toBe('done');
  });

  it('within the time of its own steps, each cut to what is left', async () => {
    const graph = buildGraph(readTeam(simple, rules));
    const node = graph.nodes.get('say')!;
    const left = { calls: 1, tokens: 1, ms: 60 };
    const inside: Inside = {
      node: 't',
      player: 'p',
      parents: [],
      counts: { visits: new Map(), calls: [] },
      put: () => {},
      left,
    };
    const given = await spend(inside, node, async (timed) => timed.node.timeoutMs);
    expect(given).toBe(60);
    expect(node.node.timeoutMs).toBe(120_000);
    const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 80));
    await expect(spend(inside, node, pause)).rejects.toThrow(/take longer than they may/);
    expect(await spend(undefined, node, async (timed) => timed.node.timeoutMs)).toBe(120_000);
  });

  it('ends alone when a call of it cannot be answered', async () => {
    const writes = scripted((node) =>
      node === 'write' ? `<workflow>${JSON.stringify(simple)}</workflow>` : 'yes',
    ).generate;
    const [trace] = await run(around(), [{ id: 'x', question: 'Q?', answers: [] }], async (policy, requests) => {
      if (requests.some((request) => nodeOf(request) === 'team.say')) throw new UserError('too long');
      return writes(policy, requests);
    });
    expect(recordOf(trace, 'team#0').error).toMatch(/team.say: too long/);
    const [full] = await run(around(), [{ id: 'x', question: 'Q?', answers: [] }], async (policy, requests) =>
      nodeOf(requests[0]) === 'team.say'
        ? requests.map((request) => generation(request, '', 'context'))
        : writes(policy, requests),
    );
    expect(recordOf(full, 'team#0').error).toMatch(/longer than the model's context/);
    expect(full.status).toBe('done');
  });

  it('frozen where its player is', async () => {
    const flow = around();
    const { generate } = scripted((node) =>
      node === 'write' ? `<workflow>${JSON.stringify(simple)}</workflow>` : 'yes',
    );
    const cast = castOf(flow, (role) => role, ['player']);
    const [trace] = await run(flow, [{ id: 'x', question: 'Q?', answers: [] }], generate, { cast });
    expect(recordOf(trace, 'team.say#0').trainable).toBe(false);
    expect(recordOf(trace, 'write#0').trainable).toBe(true);
  });
});

describe('a trace with a written team', () => {
  it('can be forked inside the team: what follows from the change is run anew, and nothing else', async () => {
    const two = {
      roles: { asker: ask, last: { ...ask, prompt: { user: 'Last {{draft}}' } } },
      nodes: [
        start,
        say,
        { id: 'again', kind: 'role', role: 'last', inputs: [{ name: 'draft', type: 'text' }] },
        { ...end, id: 'done' },
      ],
      edges: wired(['start.question', 'say.question'], ['say.answer', 'again.draft'], ['again.answer', 'done.answer']),
    };
    const flow = around();
    const parent = await build(two);
    const { generate, calls } = scripted((_, prompt) => `said to: ${prompt}`);
    const query = { id: 'x', question: 'Q?', answers: ['yes'] };
    const [fork] = await runForks(
      { workflow: flow, cast: castOf(flow), query, task: { corpus: null }, seed: 7, generate },
      parent,
      'team.say#0',
      [{ id: 'f', change: { kind: 'text', text: 'other' } }],
    );
    expect(calls.flatMap(({ nodes }) => nodes)).toEqual(['team.again']);
    expect(fork.answer).toBe('said to: Last other');
    expect(recordOf(fork, 'team#0').error).toBeUndefined();
  });
});
