/**
 * The baseline of every study: one role that reads what a search with the whole question finds, and answers.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerPrompt } from './parts.ts';

export const singleAgent: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'single-agent',
  title: 'Single agent',
  description: 'One role answers from what a search with the whole question finds.',
  roles: {
    solver: {
      title: 'Solver',
      description: 'Answers with a short phrase from the passages.',
      prompt: answerPrompt,
      parser: { kind: 'text', port: 'answer', maxChars: 200 },
      sampling: { maxTokens: 16 },
    },
  },
  nodes: [
    { id: 'question', kind: 'input', title: 'Question', outputs: [{ name: 'question', type: 'text' }] },
    { id: 'search', kind: 'tool', title: 'Search', tool: 'bm25', settings: { k: 2, words: 50, limit: 2 } },
    {
      id: 'answer',
      kind: 'role',
      title: 'Answer',
      role: 'solver',
      inputs: [
        { name: 'question', type: 'text' },
        { name: 'passages', type: 'passages' },
      ],
    },
    { id: 'result', kind: 'output', title: 'Result', inputs: [{ name: 'answer', type: 'text' }] },
  ],
  edges: [
    { from: { node: 'question', port: 'question' }, to: { node: 'search', port: 'queries' } },
    { from: { node: 'question', port: 'question' }, to: { node: 'answer', port: 'question' } },
    { from: { node: 'search', port: 'passages' }, to: { node: 'answer', port: 'passages' } },
    { from: { node: 'answer', port: 'answer' }, to: { node: 'result', port: 'answer' } },
  ],
  rewards: {
    rules: [{ id: 'outcome', level: 'trajectory', value: { kind: 'score', metric: 'f1' } }],
    formatWeight: 0.3,
  },
};
