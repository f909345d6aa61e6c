/** A two-role workflow for tests of the screens; the product's own templates live in workflows/templates. */
import { workflowSchema, type Workflow } from '../../workflows/schema/workflow.ts';

export const sampleWorkflow: Workflow = workflowSchema.parse({
  troupe: 'workflow',
  version: 1,
  name: 'qd-answer',
  title: 'QD-Answer',
  description: 'One role splits the question into searches, the other answers from what they find.',
  roles: {
    decomposer: {
      title: 'Decomposer',
      prompt: {
        system: 'You split a question into the searches that would answer it.',
        user: 'Question: {{question}}\nWrite one or two searches, each in <q>…</q>.',
      },
      parser: { kind: 'tags', tag: 'q', port: 'queries', min: 1, max: 2, unique: true },
      sampling: { maxTokens: 32 },
    },
    answerer: {
      title: 'Answerer',
      prompt: {
        system: 'You answer from the passages.',
        user: '{{evidence}}\nQuestion: {{question}}\nAnswer in <a>…</a>.',
      },
      parser: { kind: 'tags', tag: 'a', port: 'answer' },
      sampling: { maxTokens: 16 },
    },
  },
  nodes: [
    { kind: 'input', id: 'question', title: 'Question', outputs: [{ name: 'question', type: 'text' }] },
    { kind: 'role', id: 'decompose', role: 'decomposer', inputs: [{ name: 'question', type: 'text' }] },
    { kind: 'tool', id: 'retrieve', title: 'Retrieve', tool: 'bm25', settings: { k: 1 } },
    {
      kind: 'role',
      id: 'answer',
      role: 'answerer',
      inputs: [
        { name: 'question', type: 'text' },
        { name: 'evidence', type: 'passages' },
      ],
    },
    { kind: 'output', id: 'result', title: 'Answer', inputs: [{ name: 'answer', type: 'text' }] },
  ],
  edges: [
    { from: { node: 'question', port: 'question' }, to: { node: 'decompose', port: 'question' } },
    { from: { node: 'decompose', port: 'queries' }, to: { node: 'retrieve', port: 'queries' } },
    { from: { node: 'question', port: 'question' }, to: { node: 'answer', port: 'question' } },
    { from: { node: 'retrieve', port: 'passages' }, to: { node: 'answer', port: 'evidence' } },
    { from: { node: 'answer', port: 'answer' }, to: { node: 'result', port: 'answer' } },
  ],
  rewards: { rules: [{ id: 'f1', level: 'trajectory', value: { kind: 'score', metric: 'f1' } }] },
});
