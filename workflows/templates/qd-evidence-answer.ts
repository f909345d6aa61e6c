/**
 * QD-Evidence-Answer (UnityMAS-O, arXiv 2605.26646): QD-Answer with a third role. Every sub-question has its own search, and
 * an evidence role takes from its passages what answers it, all at once; the answerer reads findings instead of passages.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerFormat, outcome, port, question, result, search, wires } from './parts.ts';

export const qdEvidenceAnswer: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'qd-evidence-answer',
  title: 'QD-Evidence-Answer',
  description:
    'A decomposer asks sub-questions, an evidence role finds what answers each, an answerer puts it together.',
  roles: {
    decomposer: {
      title: 'Decomposer',
      description: 'Writes one to three sub-questions whose answers together answer the question.',
      prompt: {
        system: 'Write one to three short sub-questions to search for. Put each between <q> and </q>.',
        few: [
          {
            user: 'Question: Where was the painter of The Grey Harbour born?',
            assistant: '<q>painter of The Grey Harbour</q>\n<q>birthplace of that painter</q>',
          },
        ],
        user: 'Question: {{question}}',
      },
      parser: { kind: 'tags', tag: 'q', port: 'questions', min: 1, max: 3, unique: true, maxChars: 300 },
      sampling: { maxTokens: 48 },
    },
    evidence: {
      title: 'Evidence',
      description: 'Takes from the passages of one sub-question what answers it.',
      prompt: {
        system:
          'Say in one sentence what the passages tell of the sub-question, between <evidence> and </evidence>, or say: No useful information',
        user: 'Question: {{question}}\nSub-question: {{subquestion}}\nPassages:\n{{passages | lines}}',
      },
      parser: { kind: 'tags', tag: 'evidence', port: 'evidence', end: 'No useful information', maxChars: 500 },
      sampling: { maxTokens: 64 },
    },
    answerer: {
      title: 'Answerer',
      description: 'Answers with a short phrase from the findings.',
      prompt: {
        system: 'Answer with a short phrase, from what was found for each sub-question.',
        user: 'Sub-questions:\n{{questions}}\nFound:\n{{evidence}}\nQuestion: {{question}}\nShort answer:',
      },
      ...answerFormat,
    },
  },
  nodes: [
    question,
    { id: 'decompose', kind: 'role', title: 'Decompose', role: 'decomposer', inputs: [port('question')] },
    { ...search('search'), kind: 'tool', tool: 'bm25', each: ['queries'] },
    {
      id: 'extract',
      kind: 'role',
      title: 'Extract',
      role: 'evidence',
      inputs: [port('question'), port('subquestion'), port('passages', 'passages')],
      each: ['subquestion', 'passages'],
    },
    {
      id: 'answer',
      kind: 'role',
      title: 'Answer',
      role: 'answerer',
      inputs: [port('question'), port('questions', 'list'), port('evidence', 'list')],
    },
    result,
  ],
  edges: wires(
    'question.question > decompose.question',
    'decompose.questions > search.queries',
    'question.question > extract.question',
    'decompose.questions > extract.subquestion',
    'search.passages > extract.passages',
    'question.question > answer.question',
    'decompose.questions > answer.questions',
    'extract.evidence > answer.evidence',
    'answer.answer > result.answer',
  ),
  rewards: { rules: [outcome] },
};
