/** The constructs of the workflow language beside nodes and edges: each run on scripted outputs, and through JSON. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { lint } from '../schema/lint.ts';
import { parseWorkflow } from '../schema/migrate.ts';
import type { WorkflowInput } from '../schema/workflow.ts';
import { workflowSchema } from '../schema/workflow.ts';
import { buildGraph } from './graph.ts';
import { edge, plainRole, recordOf, run, scripted, text, workflow } from './test-support.ts';

const ask = { id: 'ask', kind: 'input' as const, outputs: [text('question')] };
const end = { id: 'end', kind: 'output' as const, inputs: [text('answer')] };
const question = { id: 'x', question: 'Q', answers: ['yes'] };
const list = (name: string) => ({ name, type: 'list' as const, optional: false });
const json = (name: string) => ({ name, type: 'json' as const, optional: false });
/** These teams have no rewards; that is all lint may say of them. */
const faults = (flow: ReturnType<typeof workflow>) => lint(flow).filter(({ code }) => code !== 'reward-unreceived');
const roundTrip = (flow: ReturnType<typeof workflow>) =>
  expect(parseWorkflow(JSON.parse(JSON.stringify(flow)))).toEqual(flow);

describe('samples', () => {
  const flow = workflow({
    roles: { voter: plainRole('{{question}}') },
    nodes: [
      ask,
      { id: 'vote', kind: 'role', role: 'voter', inputs: [text('question')], samples: 3 },
      {
        id: 'most',
        kind: 'compute',
        inputs: [list('votes')],
        output: text('answer'),
        expression: 'best(votes, votes.map(v, size(votes.filter(w, em(w, v) == 1.0))))',
      },
      end,
    ],
    edges: [
      ['ask.question', 'vote.question'],
      ['vote.out', 'most.votes'],
      ['most.answer', 'end.answer'],
    ],
  });

  it('asks one role several times in one wave, each with its own seed and record', async () => {
    const said = ['no', 'the Yes', 'yes'];
    let call = 0;
    const { generate, calls } = scripted(() => said[call++]);
    const [trace] = await run(flow, [question], generate);
    expect(calls.map((each) => each.nodes)).toEqual([['vote', 'vote', 'vote']]);
    expect(trace.records.map(({ id, index }) => [id, index])).toEqual([
      ['ask#0', undefined],
      ['vote#0.0', 0],
      ['vote#0.1', 1],
      ['vote#0.2', 2],
      ['most#0', undefined],
      ['end#0', undefined],
    ]);
    expect(trace.answer).toBe('the Yes');
    expect(recordOf(trace, 'most#0').parents).toEqual(['vote#0.0', 'vote#0.1', 'vote#0.2']);
    expect(new Set(trace.records.flatMap(({ seed }) => (seed === undefined ? [] : [seed]))).size).toBe(3);
    expect(faults(flow)).toEqual([]);
    roundTrip(flow);
  });
});

describe('each', () => {
  const flow = workflow({
    roles: {
      splitter: { ...plainRole('{{question}}'), parser: { kind: 'tags', tag: 'q', port: 'parts', max: 3 } },
      worker: plainRole('{{part}}?'),
    },
    nodes: [
      ask,
      { id: 'split', kind: 'role', role: 'splitter', inputs: [text('question')] },
      { id: 'find', kind: 'tool', tool: 'bm25', settings: { k: 1 }, each: ['queries'] },
      {
        id: 'work',
        kind: 'role',
        role: 'worker',
        inputs: [text('part'), { name: 'passages', type: 'passages' }],
        each: ['part', 'passages'],
      },
      {
        id: 'merge',
        kind: 'compute',
        inputs: [list('found')],
        output: text('answer'),
        expression: 'found[0] + "+" + found[size(found) - 1]',
      },
      end,
    ],
    edges: [
      ['ask.question', 'split.question'],
      ['split.parts', 'find.queries'],
      ['split.parts', 'work.part'],
      ['find.passages', 'work.passages'],
      ['work.out', 'merge.found'],
      ['merge.answer', 'end.answer'],
    ],
  });
  const corpus = [
    { title: 'Mira', text: 'a cat' },
    { title: 'Tom', text: 'a dog' },
  ];

  it('runs a tool and a role once for every item, in step', async () => {
    const { generate, calls } = scripted((node, prompt) => (node === 'split' ? '<q>Mira</q><q>Tom</q>' : prompt));
    const [trace] = await run(flow, [question], generate, { task: { corpus } });
    expect(calls.map((each) => each.nodes)).toEqual([['split'], ['work', 'work']]);
    expect(recordOf(trace, 'work#0.1').inputs).toEqual({ part: 'Tom', passages: [corpus[1]] });
    expect(recordOf(trace, 'find#0').outputs).toEqual({ passages: [[corpus[0]], [corpus[1]]] });
    expect(trace.answer).toBe('Mira?+Tom?');
    roundTrip(flow);
  });

  it('gives empty lists for an empty list, and drops what is none', async () => {
    const given = (expression: string) =>
      workflow({
        roles: { worker: plainRole('{{part}}') },
        nodes: [
          ask,
          { id: 'make', kind: 'compute', inputs: [text('question')], output: json('parts'), expression },
          { id: 'work', kind: 'role', role: 'worker', inputs: [json('part')], each: ['part'] },
          {
            id: 'count',
            kind: 'compute',
            inputs: [list('found')],
            output: text('answer'),
            expression: 'string(size(found))',
          },
          end,
        ],
        edges: [
          ['ask.question', 'make.question'],
          ['make.parts', 'work.part'],
          ['work.out', 'count.found'],
          ['count.answer', 'end.answer'],
        ],
      });
    const { generate } = scripted(() => 'x');
    expect((await run(given('[]'), [question], generate))[0].answer).toBe('0');
    expect((await run(given('[1, 2]'), [question], generate))[0].answer).toBe('2');
    expect((await run(given('"no list"'), [question], generate))[0].reason).toContain('part is no list');
  });
});

describe('memory', () => {
  const flow = workflowSchema.parse({
    ...workflow({
      roles: { thinker: plainRole('{{steps}}|{{note}}') },
      nodes: [
        ask,
        { id: 'begin', kind: 'memory', write: [], read: ['steps', 'note'] },
        { id: 'turns', kind: 'loop', type: 'steps', limit: 2 },
        { id: 'think', kind: 'role', role: 'thinker', inputs: [{ name: 'steps', type: 'steps' }, text('note')] },
        {
          id: 'step',
          kind: 'compute',
          inputs: [text('thought')],
          output: { name: 'steps', type: 'steps' },
          expression: '[{"question": thought, "answer": "a"}]',
        },
        {
          id: 'keep',
          kind: 'memory',
          write: [
            { field: 'steps', how: 'append' },
            { field: 'note', how: 'replace' },
          ],
        },
        { id: 'recall', kind: 'memory', read: ['note'] },
        end,
      ],
      edges: [
        ['ask.question', 'begin.after'],
        ['begin.steps', 'turns.in'],
        ['turns.body', 'think.steps'],
        ['begin.note', 'think.note'],
        ['think.out', 'step.thought'],
        ['step.steps', 'keep.steps'],
        ['think.out', 'keep.note'],
        ['keep.steps', 'turns.again'],
        ['turns.done', 'recall.after'],
        ['recall.note', 'end.answer'],
      ],
    }),
    memory: { steps: { type: 'steps' }, note: { type: 'text', initial: 'nothing yet' } },
  });

  it('appends to a list and replaces a field, and knows who wrote what', async () => {
    let thought = 0;
    const { generate } = scripted(() => `t${thought++}`);
    const [trace] = await run(flow, [question], generate);
    expect(recordOf(trace, 'begin#0').outputs).toEqual({ steps: [], note: 'nothing yet' });
    expect(recordOf(trace, 'keep#1').outputs).toEqual({
      steps: [
        { question: 't0', answer: 'a' },
        { question: 't1', answer: 'a' },
      ],
      note: 't1',
    });
    expect(recordOf(trace, 'think#1').prompt?.[0].content).toBe('1. t0 a|nothing yet');
    expect(recordOf(trace, 'keep#1').parents).toEqual(['step#1', 'think#1', 'keep#0']);
    expect(recordOf(trace, 'recall#0').parents).toEqual(['turns#2', 'keep#1']);
    expect(recordOf(trace, 'keep#0').outputs).toEqual({ steps: [{ question: 't0', answer: 'a' }], note: 't0' });
    expect(trace.answer).toBe('t1');
    expect(faults(flow)).toEqual([]);
    roundTrip(flow);
  });

  it('refuses fields it does not have, appending to no list, and a wrong beginning', () => {
    const but = (change: object) => () => buildGraph(workflowSchema.parse({ ...flow, ...change }));
    expect(but({ memory: { note: { type: 'text' } } })).toThrow('does not have: steps');
    expect(but({ memory: { ...flow.memory, steps: { type: 'text' } } })).toThrow('steps is a text');
    expect(but({ memory: { ...flow.memory, note: { type: 'text', initial: 3 } } })).toThrow('note is a text');
    expect(lint(workflowSchema.parse({ ...flow, memory: {} }))[0].code).toBe('memory');
  });
});

describe('sub-workflows', () => {
  const inner = {
    title: 'Shout',
    nodes: [
      { id: 'in', kind: 'input' as const, outputs: [text('word')] },
      { id: 'say', kind: 'role' as const, role: 'crier', inputs: [text('word')] },
      { id: 'out', kind: 'output' as const, inputs: [text('loud'), text('same')] },
    ],
    edges: [edge('in.word', 'say.word'), edge('say.out', 'out.loud'), edge('in.word', 'out.same')],
  };
  const outer = (workflows: WorkflowInput['workflows'] = { shout: inner }) =>
    workflowSchema.parse({
      ...workflow({
        roles: { crier: plainRole('{{word}}!') },
        nodes: [
          ask,
          { id: 'first', kind: 'workflow', workflow: 'shout' },
          { id: 'second', kind: 'workflow', workflow: 'shout' },
          { id: 'both', kind: 'compute', inputs: [text('a'), text('b')], output: text('answer'), expression: 'a + b' },
          end,
        ],
        edges: [
          ['ask.question', 'first.word'],
          ['first.loud', 'second.word'],
          ['second.loud', 'both.a'],
          ['second.same', 'both.b'],
          ['both.answer', 'end.answer'],
        ],
      }),
      workflows,
    });

  it('run in place, once for each node that names them', async () => {
    const { generate } = scripted((_, prompt) => prompt);
    const [trace] = await run(outer(), [question], generate);
    expect(trace.records.map(({ id }) => id)).toEqual(['ask#0', 'first.say#0', 'second.say#0', 'both#0', 'end#0']);
    expect(recordOf(trace, 'second.say#0').parents).toEqual(['first.say#0']);
    expect(trace.answer).toBe('Q!!Q!');
    expect(faults(outer())).toEqual([]);
    roundTrip(outer());
  });

  it('may hold others, but not themselves', async () => {
    const nested = outer({
      shout: {
        ...inner,
        nodes: [inner.nodes[0], { id: 'say', kind: 'workflow', workflow: 'deep' }, inner.nodes[2]],
        edges: [edge('in.word', 'say.word'), edge('say.loud', 'out.loud'), edge('say.same', 'out.same')],
      },
      deep: inner,
    });
    const { generate } = scripted((_, prompt) => prompt);
    const [trace] = await run(nested, [question], generate);
    expect(trace.records.map(({ id }) => id)).toContain('second.say.say#0');
    expect(trace.answer).toBe('Q!!Q!');
    const endless = outer({
      shout: { ...inner, nodes: [...inner.nodes, { id: 'me', kind: 'workflow', workflow: 'shout' }] },
    });
    expect(() => buildGraph(endless)).toThrow(UserError);
    expect(() => buildGraph(endless)).toThrow('runs itself: shout → shout');
    expect(() => buildGraph(outer({}))).toThrow('does not exist: shout');
    expect(lint(outer({}))[0]).toMatchObject({ code: 'sub-workflow', at: { node: 'first' } });
    expect(() =>
      buildGraph(outer({ shout: { ...inner, nodes: [...inner.nodes, { ...inner.nodes[0], id: 'in2' }] } })),
    ).toThrow('it has 2 and 1');
  });

  it('show problems inside them at the node that runs them', () => {
    const wrong = outer({ shout: { ...inner, edges: inner.edges.slice(1) } });
    expect(lint(wrong)[0]).toMatchObject({ code: 'unconnected', at: { node: 'first' } });
    expect(lint(wrong)[0].message).toMatch(/^In the sub-workflow shout: Nothing is connected to say.word/);
  });
});
