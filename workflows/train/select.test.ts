import { describe, expect, it } from 'vitest';
import { parserSchema, roleSchema } from '../schema/workflow.ts';
import { traceSchema, type Trace } from '../schema/trace.ts';
import { readTeam } from '../run/written-team.ts';
import { selectOutputs, type Filter } from './select.ts';

const role = (parser: object, stop: string[] = []) =>
  roleSchema.parse({ title: 'r', prompt: { user: 'x' }, parser, sampling: { stop } });
const roles = {
  solver: role({ kind: 'tags', tag: 'a', port: 'answer' }, ['\n', '</a>']),
  writer: role(parserSchema.parse({ kind: 'workflow', port: 'team', reasoning: 'why', tools: ['majority-vote'] })),
};
const everything: Filter = { minScore: 0, legal: false, best: 0, dedupe: false, consistency: 'none' };

type Said = Partial<Trace['records'][number]> & { text: string };
let made = 0;

function trace(query: string, f1: number, said: Said[], extra: Partial<Trace> = {}): Trace {
  return traceSchema.parse({
    troupe: 'trace',
    version: 1,
    id: `t${made++}`,
    workflow: 'w',
    phase: 'train',
    step: 1,
    query: { id: query, question: query, answers: ['x'] },
    status: 'done',
    score: { f1 },
    ...extra,
    records: said.map((each, i) => ({
      id: `n#${i}`,
      node: 'n',
      kind: 'role',
      title: '',
      turn: i,
      parents: [],
      inputs: {},
      outputs: {},
      role: 'solver',
      policy: 'team',
      prompt: [{ role: 'user', content: query }],
      legal: true,
      finish: 'stop',
      ...each,
    })),
  });
}

const responses = (traces: Trace[], filter: Partial<Filter> = {}) =>
  selectOutputs(traces, roles, { ...everything, ...filter }).map(({ example }) => example.response);

describe('what is worth imitating', () => {
  it('comes of sampled traces that were finished and scored enough, by what their task is scored by', () => {
    const traces = [
      trace('a', 1, [{ text: 'one' }]),
      trace('b', 0.5, [{ text: 'two' }]),
      trace('c', 0.2, [{ text: 'number' }], { score: { f1: 0.2, number: 1 } }),
      trace('d', 1, [{ text: 'fails' }], { score: { f1: 1, passed: 0 } }),
      trace('e', 1, [{ text: 'greedy' }], { phase: 'eval' }),
      trace('f', 1, [{ text: 'dropped' }], { status: 'dropped' }),
    ];
    expect(responses(traces, { minScore: 0.5 })).toEqual(['one', 'two', 'number']);
    expect(responses(traces, { minScore: 1 })).toEqual(['one', 'number']);
  });

  it('is legal, earned enough itself, and ended as the model would have to end it', () => {
    const traces = [
      trace('a', 1, [
        { text: 'legal', reward: 0.2 },
        { text: 'illegal', legal: false, reward: 0.9 },
        { text: 'cut', finish: 'length', reward: 1 },
        { text: '<a>x', finish: 'stop-string', reward: 1 },
        { text: 'no tag', finish: 'stop-string', reward: 1 },
        { text: '', reward: 1 },
      ]),
    ];
    expect(responses(traces)).toEqual(['legal', 'illegal', '<a>x</a>']);
    expect(responses(traces, { legal: true })).toEqual(['legal', '<a>x</a>']);
    expect(responses(traces, { legal: true, minReward: 0.5 })).toEqual(['<a>x</a>']);
  });

  it('is the best of each question, and each text once for a prompt and a policy', () => {
    const traces = [
      trace('a', 0.5, [{ text: 'half' }]),
      trace('a', 1, [{ text: 'poor', reward: 0 }]),
      trace('a', 1, [{ text: 'rich', reward: 1 }]),
      trace('b', 0.1, [{ text: 'b' }]),
      trace('b', 0.1, [{ text: 'b' }]),
      trace('b', 0.1, [{ text: 'b', policy: 'other' }]),
    ];
    expect(responses(traces, { best: 1 })).toEqual(['rich', 'b']);
    expect(responses(traces, { best: 2 })).toEqual(['poor', 'rich', 'b', 'b']);
    expect(responses(traces, { dedupe: true })).toEqual(['half', 'poor', 'rich', 'b', 'b']);
  });
});

describe('written teams', () => {
  const port = (name: string, type = 'text') => ({ name, type });
  const solo = {
    roles: { asker: { title: 'A', prompt: { user: '{{question}}' }, parser: { kind: 'text', port: 'answer' } } },
    nodes: [
      { id: 'start', kind: 'input', outputs: [port('question')] },
      { id: 'ask', kind: 'role', role: 'asker', inputs: [port('question')] },
      { id: 'end', kind: 'output', inputs: [port('answer')] },
    ],
    edges: [
      { from: { node: 'start', port: 'question' }, to: { node: 'ask', port: 'question' } },
      { from: { node: 'ask', port: 'answer' }, to: { node: 'end', port: 'answer' } },
    ],
  };
  const named = JSON.parse(
    JSON.stringify(solo).replaceAll('"ask"', '"say"').replaceAll('"asker"', '"sayer"'),
  ) as object;
  const voting = {
    ...solo,
    nodes: [
      solo.nodes[0],
      { ...solo.nodes[1], samples: 3 },
      { id: 'vote', kind: 'tool', tool: 'majority-vote' },
      solo.nodes[2],
    ],
    edges: [
      solo.edges[0],
      { from: { node: 'ask', port: 'answer' }, to: { node: 'vote', port: 'answers' } },
      { from: { node: 'vote', port: 'answer' }, to: { node: 'end', port: 'answer' } },
    ],
  };
  const idle = { ...solo, roles: { ...solo.roles, idle: solo.roles.asker } };
  const rules = {
    tools: ['majority-vote'],
    inputs: [{ name: 'question', type: 'text' as const, optional: false }],
    nodes: 8,
  };

  const wrote = (
    question: string,
    f1: number,
    text: string,
    team: object,
    { answer = 'x', why = 'because' } = {},
  ): Trace =>
    trace(question, f1, [
      { text, role: 'writer', outputs: { team: readTeam(team, rules), why } },
      { text: 'team', kind: 'team', prompt: undefined, role: undefined, parents: ['n#0'], outputs: { answer } },
    ]);

  it('of like questions are kept in the shape that scored best over all of them', () => {
    const traces = [
      wrote('What does Mira keep?', 1, 'vote mira', voting),
      wrote('What does Tom keep?', 0, 'vote tom', voting),
      wrote('What does Mira keep?', 1, 'solo mira', solo),
      wrote('What does Tom keep?', 1, 'solo tom', named), // other names, the same shape
      wrote('Where was the painter born?', 1, 'vote painter', voting),
    ];
    // Votes scored 1/2 over the pair, single askers 1; the last question is like no other.
    expect(responses(traces, { minScore: 1, consistency: 'inter' })).toEqual(['solo mira', 'solo tom', 'vote painter']);
    expect(responses(traces, { minScore: 1 })).toEqual(['vote mira', 'solo mira', 'solo tom', 'vote painter']);
  });

  it('agree with themselves: they say why, use what they draw, and gave the answer', () => {
    const traces = [
      wrote('a', 1, 'good', solo),
      wrote('b', 1, 'no reason', solo, { why: '' }),
      wrote('c', 1, 'idle role', idle),
      wrote('d', 1, 'no answer', solo, { answer: '' }),
    ];
    expect(responses(traces, { consistency: 'intra' })).toEqual(['good']);
    expect(responses(traces, { consistency: 'both' })).toEqual(['good']);
    expect(responses(traces).length).toBe(4);
  });

  it('are never imitated as consistent where there is no team', () => {
    const bad = trace('a', 1, [{ text: 'nonsense', role: 'writer', outputs: { team: null, why: '' }, legal: false }]);
    expect(responses([bad], { consistency: 'both' })).toEqual([]);
    expect(responses([bad])).toEqual(['nonsense']);
  });
});
