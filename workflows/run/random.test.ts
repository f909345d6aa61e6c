import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { castSchema } from '../schema/cast.ts';
import { lint } from '../schema/lint.ts';
import { workflowSchema, type WorkflowInput } from '../schema/workflow.ts';
import { runBatch, type Generate } from './runner.ts';

/** A pipeline over one text, nested at will: a role, two branches that join again, a loop, or one after the other. */
type Block =
  | { kind: 'role'; mark: string }
  | { kind: 'branch'; long: Block; short: Block }
  | { kind: 'loop'; limit: number; body: Block }
  | { kind: 'then'; first: Block; second: Block };

const threshold = 6;

/** What a block makes of a text, said without any graph. */
function meaning(block: Block, text: string): string {
  switch (block.kind) {
    case 'role':
      return text + block.mark;
    case 'branch':
      return meaning(text.length > threshold ? block.long : block.short, text);
    case 'then':
      return meaning(block.second, meaning(block.first, text));
    case 'loop': {
      let value = text;
      for (let turn = 0; turn < block.limit && value.length < 40; turn += 1) value = meaning(block.body, value);
      return value;
    }
  }
}

type Nodes = WorkflowInput['nodes'];
type Edges = WorkflowInput['edges'];
type End = { node: string; port: string };

/** Adds a block's nodes; returns where its text comes out: several places where branches join. */
function build(block: Block, from: End[], nodes: Nodes, edges: Edges): End[] {
  const id = `n${nodes.length}`;
  const wire = (port: string): void => {
    for (const end of from) edges.push({ from: end, to: { node: id, port } });
  };
  const inputs = [{ name: 'text', type: 'text' as const }];
  switch (block.kind) {
    case 'role':
      nodes.push({ id, kind: 'role', role: `role-${block.mark}`, inputs });
      wire('text');
      return [{ node: id, port: 'out' }];
    case 'branch':
      nodes.push({
        id,
        kind: 'router',
        inputs,
        branches: [{ name: 'long', when: `size(text) > ${threshold}` }],
        otherwise: 'short',
      });
      wire('text');
      return [
        ...build(block.long, [{ node: id, port: 'long' }], nodes, edges),
        ...build(block.short, [{ node: id, port: 'short' }], nodes, edges),
      ];
    case 'then':
      return build(block.second, build(block.first, from, nodes, edges), nodes, edges);
    case 'loop':
      nodes.push({ id, kind: 'loop', type: 'text', limit: block.limit, until: 'size(value) >= 40' });
      wire('in');
      for (const end of build(block.body, [{ node: id, port: 'body' }], nodes, edges))
        edges.push({ from: end, to: { node: id, port: 'again' } });
      return [{ node: id, port: 'done' }];
  }
}

const marks = ['a', 'b', 'c'];
const { block } = fc.letrec<{ block: Block }>((tie) => ({
  block: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({ kind: fc.constant('role' as const), mark: fc.constantFrom(...marks) }),
    fc.record({ kind: fc.constant('branch' as const), long: tie('block'), short: tie('block') }),
    fc.record({ kind: fc.constant('loop' as const), limit: fc.integer({ min: 1, max: 3 }), body: tie('block') }),
    fc.record({ kind: fc.constant('then' as const), first: tie('block'), second: tie('block') }),
  ),
}));

const roles = Object.fromEntries(
  marks.map((mark) => [
    `role-${mark}`,
    { title: mark, prompt: { user: '{{text}}' }, parser: { kind: 'text' as const, port: 'out' } },
  ]),
);
const cast = castSchema.parse({
  name: 'c',
  policies: { p: { model: 'm', method: { kind: 'full' } } },
  roles: Object.fromEntries(Object.keys(roles).map((role) => [role, 'p'])),
});

describe('any nesting of roles, branches and loops', () => {
  it('does what it says, on all questions at once, with parents that came before', async () => {
    await fc.assert(
      fc.asyncProperty(
        block,
        fc.array(fc.constantFrom('x', 'yyy', 'zzzzzzz'), { minLength: 1, maxLength: 3 }),
        async (flow, texts) => {
          const nodes: Nodes = [{ id: 'ask', kind: 'input', outputs: [{ name: 'question', type: 'text' }] }];
          const edges: Edges = [];
          for (const end of build(flow, [{ node: 'ask', port: 'question' }], nodes, edges))
            edges.push({ from: end, to: { node: 'end', port: 'answer' } });
          nodes.push({ id: 'end', kind: 'output', inputs: [{ name: 'answer', type: 'text' }] });
          const workflow = workflowSchema.parse({
            troupe: 'workflow',
            version: 1,
            name: 'w',
            title: 'w',
            roles,
            nodes,
            edges,
            rewards: { rules: [] },
          });
          expect(lint(workflow).filter((problem) => problem.level === 'error')).toEqual([]);
          const roleOf = new Map(
            workflow.nodes.map((node) => [node.id, node.kind === 'role' ? node.role.slice(5) : '']),
          );
          const generate: Generate = async (_, requests) =>
            requests.map(({ record, prompt }) => {
              const said = 'messages' in prompt ? prompt.messages[0].content : '';
              return {
                record,
                promptIds: [],
                ids: [1],
                pieces: [''],
                text: said + roleOf.get(record.split('/')[1].split('#')[0])!,
                logprobs: [0],
                entropy: [0],
                finish: 'stop',
              };
            });
          const queries = texts.map((question, index) => ({ id: `${index}`, question, answers: [] }));
          const traces = await runBatch({
            workflow,
            cast,
            queries,
            task: { corpus: null },
            phase: 'run',
            step: 0,
            seed: 1,
            generate,
          });
          expect(traces.map((trace) => trace.answer)).toEqual(texts.map((text) => meaning(flow, text)));
          for (const trace of traces) {
            const seen = new Set<string>();
            for (const record of trace.records) {
              expect(record.parents.every((parent) => seen.has(parent))).toBe(true);
              expect(seen.has(record.id)).toBe(false);
              seen.add(record.id);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
