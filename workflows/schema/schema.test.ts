import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { deriveStates } from '../run/state.ts';
import { applyPreset } from '../templates/preset.ts';
import { qdAnswer } from '../templates/qd-answer.ts';
import { templateNames, templateWorkflow } from '../templates/index.ts';
import { lint, type ProblemCode } from './lint.ts';
import { parseAs, parseCast, parseRewards, parseTrace, parseWorkflow, type Format } from './migrate.ts';
import { workflowSchema, type Workflow } from './workflow.ts';
import { z } from 'zod';

const everything: Workflow = workflowSchema.parse({
  troupe: 'workflow',
  version: 1,
  name: 'all',
  title: 'Every construct',
  rewards: { rules: [{ id: 'r', level: 'turn', turn: 1, value: { kind: 'cel', expression: 'score.f1' } }] },
  roles: {
    writer: {
      title: 'Writer',
      prompt: { system: 's', user: '{{draft}} {{passages | numbered}}', few: [{ user: 'u', assistant: 'a' }] },
      parser: { kind: 'tags', tag: 'd', port: 'draft', max: 2 },
    },
  },
  nodes: [
    { id: 'ask', kind: 'input', outputs: [{ name: 'question', type: 'text' }] },
    {
      id: 'turns',
      kind: 'loop',
      type: 'text',
      limit: 3,
      inputs: [{ name: 'stop', type: 'flag', optional: true }],
      until: 'stop == true',
    },
    { id: 'find', kind: 'tool', tool: 'bm25', settings: { k: 3 } },
    {
      id: 'write',
      kind: 'role',
      role: 'writer',
      inputs: [
        { name: 'draft', type: 'text' },
        { name: 'passages', type: 'passages' },
      ],
    },
    {
      id: 'first',
      kind: 'compute',
      inputs: [{ name: 'drafts', type: 'list' }],
      output: { name: 'draft', type: 'text' },
      expression: 'drafts[0]',
    },
    {
      id: 'gate',
      kind: 'router',
      inputs: [{ name: 'draft', type: 'text' }],
      branches: [{ name: 'long', when: 'size(draft) > 3' }],
      otherwise: 'short',
    },
    { id: 'end', kind: 'output', inputs: [{ name: 'answer', type: 'text' }] },
  ],
  edges: [
    ['ask.question', 'turns.in'],
    ['turns.body', 'find.queries'],
    ['turns.body', 'write.draft'],
    ['find.passages', 'write.passages'],
    ['write.draft', 'first.drafts'],
    ['first.draft', 'gate.draft'],
    ['gate.short', 'turns.again'],
    ['gate.long', 'end.answer'],
    ['turns.done', 'end.answer'],
  ].map(([a, b]) => ({
    from: { node: a.split('.')[0], port: a.split('.')[1] },
    to: { node: b.split('.')[0], port: b.split('.')[1] },
  })),
  casts: { mine: { name: 'mine', policies: { p: { model: 'm', method: { kind: 'lora' } } }, roles: { writer: 'p' } } },
  layout: { ask: { x: 1, y: 2.5 } },
});

describe('files', () => {
  it('come back from JSON as they were: every construct and every template', () => {
    for (const workflow of [everything, ...templateNames.map((name) => templateWorkflow(name))]) {
      expect(parseWorkflow(JSON.parse(JSON.stringify(workflow)))).toEqual(workflow);
    }
  });

  it.each<[string, (json: unknown) => unknown, unknown, string]>([
    ['no object', parseWorkflow, [1], 'This is not a Troupe workflow: [1]; the file must hold one object'],
    ['another kind', parseWorkflow, { troupe: 'cast', version: 1 }, '"troupe" is "cast"'],
    ['something else', parseCast, { hello: 1 }, '"troupe" is nothing'],
    [
      'a newer version',
      parseWorkflow,
      { ...everything, version: 3 },
      'comes from a newer Troupe: version 3, and this one reads up to 2; update Troupe',
    ],
    ['no version', parseTrace, { troupe: 'trace', version: 'x' }, 'no proper version: "x"'],
    [
      'a wrong place',
      parseWorkflow,
      { ...everything, nodes: [{ ...everything.nodes[0], id: 'Bad Id' }, everything.nodes[1]] },
      'does not fit at nodes.0.id (use a lower-case letter',
    ],
    [
      'a bottomless file',
      parseWorkflow,
      { ...everything, description: JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) },
      'nested more than 64 deep',
    ],
    [
      'a wrong number',
      parseRewards,
      { troupe: 'rewards', version: 1, rules: [], formatWeight: -3 },
      'does not fit at formatWeight',
    ],
  ])('says what is wrong with %s', (_, parse, json, message) => {
    expect(() => parse(json)).toThrow(UserError);
    expect(() => parse(json)).toThrow(message);
  });

  it('lifts older versions step by step', () => {
    const format: Format<{ troupe: string; version: number; name: string }> = {
      kind: 'thing',
      version: 3,
      schema: z.object({ troupe: z.literal('thing'), version: z.literal(3), name: z.string() }),
      migrations: {
        1: ({ label, ...rest }) => ({ ...rest, title: label }),
        2: ({ title, ...rest }) => ({ ...rest, name: title }),
      },
    };
    expect(parseAs(format, { troupe: 'thing', version: 1, label: 'x' })).toEqual({
      troupe: 'thing',
      version: 3,
      name: 'x',
    });
    expect(parseAs(format, { troupe: 'thing', version: 2, title: 'x' }).name).toBe('x');
    expect(() => parseAs({ ...format, migrations: {} }, { troupe: 'thing', version: 1 })).toThrow(
      'can no longer be read: 1',
    );
  });

  it('never throws anything but a UserError on damaged workflows, and lint never throws at all', () => {
    const text = JSON.stringify(everything);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.nat(30), fc.string({ maxLength: 6 }), (at, cut, put) => {
        let json: unknown;
        try {
          json = JSON.parse(text.slice(0, at) + put + text.slice(at + cut));
        } catch {
          return;
        }
        try {
          lint(parseWorkflow(json));
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('lint', () => {
  const codes = (workflow: Workflow): ProblemCode[] => lint(workflow).map((problem) => problem.code);
  const change = (edit: (draft: Workflow) => void): Workflow => {
    const draft = structuredClone(everything);
    edit(draft);
    return draft;
  };
  const node = (draft: Workflow, id: string) => draft.nodes.find((each) => each.id === id)!;

  it('finds nothing wrong with the templates', () => {
    for (const name of templateNames) expect(lint(templateWorkflow(name))).toEqual([]);
    expect(codes(everything)).toEqual([]);
  });

  it.each<[ProblemCode, (draft: Workflow) => void]>([
    [
      'duplicate-node',
      (d) => {
        d.nodes.push({ ...node(d, 'end') });
      },
    ],
    [
      'unknown-role',
      (d) => {
        d.roles = { other: d.roles['writer'] };
      },
    ],
    [
      'tool',
      (d) => {
        Object.assign(node(d, 'find'), { tool: 'google' });
      },
    ],
    [
      'tool',
      (d) => {
        Object.assign(node(d, 'find'), { settings: { k: -1 } });
      },
    ],
    [
      'unknown-port',
      (d) => {
        d.edges[0].from.port = 'nope';
      },
    ],
    [
      'unknown-port',
      (d) => {
        d.edges[0].to.node = 'nope';
      },
    ],
    [
      'type-mismatch',
      (d) => {
        d.edges[3].to.port = 'draft';
      },
    ],
    [
      'unconnected',
      (d) => {
        d.edges.splice(3, 1);
      },
    ],
    [
      'circle',
      (d) => {
        Object.assign(node(d, 'turns'), {
          kind: 'compute',
          inputs: [
            { name: 'in', type: 'text' },
            { name: 'again', type: 'text' },
          ],
          output: { name: 'body', type: 'text' },
          expression: 'again',
        });
        d.edges.pop();
      },
    ],
    [
      'unreachable',
      (d) => {
        d.nodes.push({ id: 'lonely', kind: 'role', title: '', timeoutMs: 1, role: 'writer', inputs: [] });
      },
    ],
    [
      'unused',
      (d) => {
        d.edges = d.edges.filter((edge) => edge.to.node !== 'end');
        d.edges.push({ from: { node: 'ask', port: 'question' }, to: { node: 'end', port: 'answer' } });
      },
    ],
    [
      'no-output',
      (d) => {
        d.nodes.pop();
        d.edges = d.edges.filter((edge) => edge.to.node !== 'end');
      },
    ],
    [
      'prompt-variable',
      (d) => {
        d.roles['writer'].prompt.user = '{{draft}} {{memory}}';
      },
    ],
    [
      'prompt-variable',
      (d) => {
        d.roles['writer'].prompt.user = '{{draft | loudly}} {{passages}}';
      },
    ],
    [
      'role-without-variable',
      (d) => {
        d.roles['writer'].prompt.user = 'Write something.';
      },
    ],
    [
      'role-unplayed',
      (d) => {
        d.roles['spare'] = d.roles['writer'];
      },
    ],
    [
      'parser',
      (d) => {
        Object.assign(d.roles['writer'].parser, { min: 3, max: 2 });
      },
    ],
    [
      'expression',
      (d) => {
        Object.assign(node(d, 'first'), { expression: 'drafts[' });
      },
    ],
    [
      'expression',
      (d) => {
        Object.assign(node(d, 'first'), { expression: 'draft + "x"' });
      },
    ],
    [
      'reward-unreceived',
      (d) => {
        d.rewards.rules[0].roles = ['nobody'];
      },
    ],
    [
      'reward-duplicate',
      (d) => {
        d.rewards.rules.push(d.rewards.rules[0]);
      },
    ],
    [
      'reward-metric',
      (d) => {
        d.rewards.rules[0].value = { kind: 'score', metric: 'bleu' };
      },
    ],
    [
      'loop-exit',
      (d) => {
        d.edges = d.edges.filter((edge) => edge.from.port !== 'done');
      },
    ],
    [
      'several-values',
      (d) => {
        d.nodes = [
          ...d.nodes,
          {
            id: 'twice',
            kind: 'output',
            title: '',
            timeoutMs: 1,
            inputs: [{ name: 'x', type: 'text', optional: false }],
          },
        ];
        for (let i = 0; i < 2; i += 1)
          d.edges.push({ from: { node: 'ask', port: 'question' }, to: { node: 'twice', port: 'x' } });
      },
    ],
  ])('finds %s', (code, edit) => {
    const problems = lint(change(edit));
    expect(problems.map((problem) => problem.code)).toContain(code);
    for (const problem of problems) expect(problem.message).toMatch(/[;].+/u);
  });

  it('puts errors before warnings', () => {
    const levels = lint(
      change((d) => {
        d.roles['writer'].prompt.user = '{{memory}}';
        d.roles['spare'] = d.roles['writer'];
      }),
    ).map((problem) => problem.level);
    expect(levels).toEqual([...levels].sort());
  });
});

describe('docs/workflows.md', () => {
  it('shows a workflow that is one', () => {
    const page = readFileSync(new URL('../../docs/workflows.md', import.meta.url), 'utf8');
    const example = /```json\n([\s\S]*?)```/.exec(page)![1];
    expect(lint(parseWorkflow(JSON.parse(example)))).toEqual([]);
  });
});

describe('presets', () => {
  it('change texts and numbers and keep the graph', () => {
    const workflow = applyPreset(qdAnswer, {
      roles: { answerer: { prompt: { user: '{{passages}} {{question}}' }, sampling: { maxTokens: 5 } } },
      tools: { search: { k: 7 } },
      formatWeight: 0.5,
    });
    expect(workflow.roles['answerer'].prompt).toEqual({ system: '', user: '{{passages}} {{question}}', few: [] });
    expect(workflow.roles['answerer'].sampling.maxTokens).toBe(5);
    expect(workflow.nodes[2]).toMatchObject({ settings: { k: 7, words: 50 } });
    expect(workflow.rewards.formatWeight).toBe(0.5);
    expect(workflow.edges).toEqual(templateWorkflow('qd-answer').edges);
    expect(() => applyPreset(qdAnswer, { roles: { judge: {} } })).toThrow('judge');
    expect(() => applyPreset(qdAnswer, { tools: { answer: {} } })).toThrow('answer');
    expect(() => templateWorkflow('nope')).toThrow('no template of this name: nope');
  });
});

describe('deriveStates', () => {
  it('derives what was known before and after each record', () => {
    const record = (id: string, outputs: Record<string, string>) => ({
      id,
      node: id.split('#')[0],
      kind: 'compute' as const,
      title: id,
      turn: 0,
      parents: [],
      inputs: {},
      outputs,
      trainable: false,
      rewards: [],
    });
    const states = deriveStates({
      records: [record('a#0', { x: '1' }), record('b#0', {}), record('a#1', { x: '2', y: '3' })],
    });
    expect(states.map((each) => [each.before, each.after])).toEqual([
      [{}, { 'a.x': '1' }],
      [{ 'a.x': '1' }, { 'a.x': '1' }],
      [{ 'a.x': '1' }, { 'a.x': '2', 'a.y': '3' }],
    ]);
    expect([states[2].added, states[2].changed]).toEqual([['a.y'], ['a.x']]);
    expect(states[1].before).toBe(states[1].after);
  });
});
