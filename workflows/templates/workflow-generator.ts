/**
 * Workflow generator (MAS-GPT, arXiv 2503.03686): a generator reads the question and writes a team for it, as JSON of our own
 * schema after its reasoning; the team runs at once, a worker playing all its roles. Where nothing that may run was written,
 * or the team gives no answer, the worker answers alone. Both are rewarded with the outcome. The cast `generator` trains the
 * generator alone.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerFormat, answerPrompt, outcome, port, question, result, search, wires } from './parts.ts';

/** The model and the method chosen for the run. */
const chosen = { model: '*', method: { kind: 'full' } } as const;

/** A worked answer: two searches at once, one short answer. */
const written = {
  roles: {
    searcher: {
      title: 'Searcher',
      prompt: { system: 'Write two searches, each as <q>…</q>.', user: 'Question: {{question}}' },
      parser: { kind: 'tags', tag: 'q', port: 'queries', max: 2 },
    },
    answerer: {
      title: 'Answerer',
      prompt: { user: '{{passages | lines}}\nQuestion: {{question}}\nShort answer:' },
      parser: { kind: 'text', port: 'answer' },
    },
  },
  nodes: [
    { id: 'start', kind: 'input', outputs: [{ name: 'question', type: 'text' }] },
    { id: 'think', kind: 'role', role: 'searcher', inputs: [{ name: 'question', type: 'text' }] },
    { id: 'look', kind: 'tool', tool: 'bm25', settings: { k: 2, limit: 3 } },
    {
      id: 'answer',
      kind: 'role',
      role: 'answerer',
      inputs: [
        { name: 'question', type: 'text' },
        { name: 'passages', type: 'passages' },
      ],
    },
    { id: 'end', kind: 'output', inputs: [{ name: 'answer', type: 'text' }] },
  ],
  edges: wires(
    'start.question > think.question',
    'think.queries > look.queries',
    'start.question > answer.question',
    'look.passages > answer.passages',
    'answer.answer > end.answer',
  ),
};

export const workflowGenerator: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'workflow-generator',
  title: 'Workflow generator',
  description: 'A generator writes a team for the question, and the team answers it.',
  roles: {
    generator: {
      title: 'Generator',
      description: 'Writes the team that shall answer the question.',
      prompt: {
        system:
          'Design a team of language-model roles that answers the question. Say in a sentence what the question needs, then write the team between <workflow> and </workflow> as one JSON object with "roles", "nodes" and "edges". Each role has a title, a prompt that reads its inputs by name in double braces, and a parser (text or tags). Nodes are of kind input, role, tool (bm25, calculator, majority-vote) or output; a role node may ask several times with "samples". Edges join ports.',
        few: [
          {
            user: 'Question: Where was the painter Tom Hale, a friend of Ann Rook, born?',
            assistant: `Two facts must be found and joined.\n<workflow>${JSON.stringify(written)}</workflow>`,
          },
        ],
        user: 'Question: {{question}}',
      },
      parser: {
        kind: 'workflow',
        port: 'team',
        reasoning: 'reasoning',
        tools: ['bm25', 'calculator', 'majority-vote'],
      },
      sampling: { maxTokens: 1_024 },
    },
    worker: {
      title: 'Worker',
      description: 'Plays every role of the team that was written, and answers alone where there is none.',
      prompt: answerPrompt,
      ...answerFormat,
    },
  },
  nodes: [
    question,
    { id: 'generate', kind: 'role', title: 'Generate', role: 'generator', inputs: [port('question')] },
    {
      id: 'team',
      kind: 'team',
      title: 'Team',
      writer: 'generator',
      player: 'worker',
      calls: 12,
      tokens: 1_024,
      timeoutMs: 30_000,
    },
    {
      id: 'answered',
      kind: 'router',
      title: 'Answered?',
      inputs: [port('answer')],
      branches: [{ name: 'done', when: 'answer != ""' }],
      otherwise: 'open',
    },
    {
      id: 'alone',
      kind: 'compute',
      title: 'Alone',
      inputs: [port('question'), port('open')],
      output: port('question'),
      expression: 'question',
    },
    search('search'),
    {
      id: 'answer',
      kind: 'role',
      title: 'Answer alone',
      role: 'worker',
      inputs: [port('question'), port('passages', 'passages')],
    },
    result,
  ],
  edges: wires(
    'question.question > generate.question',
    'generate.team > team.team',
    'question.question > team.question',
    'team.answer > answered.answer',
    'question.question > alone.question',
    'answered.open > alone.open',
    'alone.question > search.queries',
    'alone.question > answer.question',
    'search.passages > answer.passages',
    'answered.done > result.answer',
    'answer.answer > result.answer',
  ),
  casts: {
    generator: {
      name: 'generator',
      policies: { generator: chosen, worker: { ...chosen, frozen: true } },
      roles: { generator: 'generator', worker: 'worker' },
    },
  },
  rewards: { rules: [outcome] },
};
