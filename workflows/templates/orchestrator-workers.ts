/**
 * Orchestrator–Workers: an orchestrator splits the question into at most three tasks, as many workers do them at once, each
 * with a search of its own, and a synthesiser merges what they found. All share the outcome.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerFormat, outcome, port, question, result, search, wires } from './parts.ts';

export const orchestratorWorkers: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'orchestrator-workers',
  title: 'Orchestrator–Workers',
  description:
    'An orchestrator splits the question, up to three workers answer the parts at once, a synthesiser merges.',
  roles: {
    orchestrator: {
      title: 'Orchestrator',
      description: 'Splits the question into one to three tasks.',
      prompt: {
        system:
          'Split the question into one to three tasks that can be done at the same time. Put each between <task> and </task>.',
        user: 'Question: {{question}}',
      },
      parser: { kind: 'tags', tag: 'task', port: 'tasks', min: 1, max: 3, unique: true, maxChars: 300 },
      sampling: { maxTokens: 64 },
    },
    worker: {
      title: 'Worker',
      description: 'Does one task from the passages found for it.',
      prompt: {
        system: 'Do the task with a short phrase taken from the passages.',
        user: 'Passages:\n{{passages | lines}}\nQuestion: {{question}}\nTask: {{task}}\nShort answer:',
      },
      parser: { kind: 'text', port: 'finding', maxChars: 300 },
      sampling: { maxTokens: 24 },
    },
    synthesiser: {
      title: 'Synthesiser',
      description: 'Answers the question from what the workers found.',
      prompt: {
        system: 'Answer with a short phrase, from what the workers found for each task.',
        user: 'Tasks:\n{{tasks}}\nFound:\n{{findings}}\nQuestion: {{question}}\nShort answer:',
      },
      ...answerFormat,
    },
  },
  nodes: [
    question,
    { id: 'split', kind: 'role', title: 'Split', role: 'orchestrator', inputs: [port('question')] },
    { ...search('search'), kind: 'tool', tool: 'bm25', each: ['queries'] },
    {
      id: 'work',
      kind: 'role',
      title: 'Work',
      role: 'worker',
      inputs: [port('question'), port('task'), port('passages', 'passages')],
      each: ['task', 'passages'],
    },
    {
      id: 'merge',
      kind: 'role',
      title: 'Merge',
      role: 'synthesiser',
      inputs: [port('question'), port('tasks', 'list'), port('findings', 'list')],
    },
    result,
  ],
  edges: wires(
    'question.question > split.question',
    'split.tasks > search.queries',
    'question.question > work.question',
    'split.tasks > work.task',
    'search.passages > work.passages',
    'question.question > merge.question',
    'split.tasks > merge.tasks',
    'work.finding > merge.findings',
    'merge.answer > result.answer',
  ),
  rewards: { rules: [outcome] },
};
