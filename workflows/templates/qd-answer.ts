/**
 * QD-Answer (UnityMAS-O, arXiv 2605.26646): a decomposer splits the question into searches, BM25 finds passages for each, an
 * answerer reads them. Both roles are rewarded with the answer's F1 and pay for an illegal format. The prompts here are for
 * small chat models; a task may bring others as its preset.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerPrompt } from './parts.ts';

export const qdAnswer: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'qd-answer',
  title: 'QD-Answer',
  description: 'A decomposer turns the question into searches, BM25 finds passages, an answerer reads them.',
  roles: {
    decomposer: {
      title: 'Decomposer',
      description: 'Writes one to three searches whose results together answer the question.',
      prompt: {
        // A small model that is asked for searches guesses the answer instead. Repeating is a habit it has, and a search that
        // works; the first example shows how to part a question, and training finds out what else pays.
        system: 'Repeat the text between <q> and </q>.',
        few: [
          {
            user: 'Text: Are the towns Leith and Orkney Bay in the same county?',
            assistant: '<q>In which county is the town Leith?</q>\n<q>In which county is the town Orkney Bay?</q>',
          },
          {
            user: 'Text: In what year did the singer of Cold Lantern found the band Mile Nine?',
            assistant: '<q>In what year did the singer of Cold Lantern found the band Mile Nine?</q>',
          },
          {
            user: 'Text: Who wrote the play that the opera Winter Court is based on?',
            assistant: '<q>Who wrote the play that the opera Winter Court is based on?</q>',
          },
          {
            user: 'Text: Where was the painter of The Grey Harbour born?',
            assistant: '<q>Where was the painter of The Grey Harbour born?</q>',
          },
        ],
        user: 'Text: {{question}}',
      },
      parser: { kind: 'tags', tag: 'q', port: 'questions', min: 1, max: 3, unique: true, strict: true, maxChars: 300 },
      sampling: { maxTokens: 48 },
    },
    answerer: {
      title: 'Answerer',
      description: 'Answers with a short phrase from the passages.',
      prompt: answerPrompt,
      parser: { kind: 'text', port: 'answer', maxChars: 200 },
      sampling: { maxTokens: 16 },
    },
  },
  nodes: [
    { id: 'question', kind: 'input', title: 'Question', outputs: [{ name: 'question', type: 'text' }] },
    {
      id: 'decompose',
      kind: 'role',
      title: 'Decompose',
      role: 'decomposer',
      inputs: [{ name: 'question', type: 'text' }],
    },
    { id: 'search', kind: 'tool', title: 'Search', tool: 'bm25', settings: { k: 2, words: 50, limit: 2 } },
    {
      id: 'answer',
      kind: 'role',
      title: 'Answer',
      role: 'answerer',
      inputs: [
        { name: 'question', type: 'text' },
        { name: 'passages', type: 'passages' },
      ],
    },
    { id: 'result', kind: 'output', title: 'Result', inputs: [{ name: 'answer', type: 'text' }] },
  ],
  edges: [
    { from: { node: 'question', port: 'question' }, to: { node: 'decompose', port: 'question' } },
    { from: { node: 'decompose', port: 'questions' }, to: { node: 'search', port: 'queries' } },
    { from: { node: 'question', port: 'question' }, to: { node: 'answer', port: 'question' } },
    { from: { node: 'search', port: 'passages' }, to: { node: 'answer', port: 'passages' } },
    { from: { node: 'answer', port: 'answer' }, to: { node: 'result', port: 'answer' } },
  ],
  rewards: {
    rules: [{ id: 'outcome', level: 'trajectory', value: { kind: 'score', metric: 'f1' } }],
    formatWeight: 0.3,
  },
};
