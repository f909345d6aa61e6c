/**
 * Evaluator–Optimiser: a generator answers, an evaluator accepts or says what to change, and the generator tries again with
 * its draft and the critique before it, at most three rounds. Both share the outcome; the evaluator is also rewarded where
 * its verdict was right: it accepted an answer that is exactly a gold answer, or refused one that is not.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerFormat, outcome, port, question, result, search, wires } from './parts.ts';

export const evaluatorOptimiser: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'evaluator-optimiser',
  title: 'Evaluator–Optimiser',
  description: 'One role answers, another accepts or criticises, until accepted or three rounds are over.',
  memory: { draft: { type: 'text' }, critique: { type: 'text' } },
  roles: {
    generator: {
      title: 'Generator',
      description: 'Answers, with the last draft and its critique in view.',
      prompt: {
        system: 'Answer with a short phrase taken from the passages. Where there is a critique of your draft, heed it.',
        user: 'Passages:\n{{passages | lines}}\nQuestion: {{question}}\nDraft: {{draft}}\nCritique: {{critique}}\nShort answer:',
      },
      ...answerFormat,
    },
    evaluator: {
      title: 'Evaluator',
      description: 'Accepts an answer or says what is wrong with it.',
      prompt: {
        system:
          'Judge the answer by the passages. Write <verdict>accept</verdict>, or <verdict>revise</verdict><critique>what to change</critique>, and nothing else.',
        user: 'Passages:\n{{passages | lines}}\nQuestion: {{question}}\nAnswer: {{answer}}',
      },
      parser: {
        kind: 'fields',
        fields: [
          { tag: 'verdict', port: 'verdict' },
          { tag: 'critique', port: 'critique', optional: true },
        ],
        maxChars: 300,
      },
      sampling: { maxTokens: 64 },
    },
  },
  nodes: [
    question,
    search('search'),
    { id: 'rounds', kind: 'loop', title: 'Rounds', type: 'text', limit: 3 },
    { id: 'recall', kind: 'memory', title: 'Recall', read: ['draft', 'critique'] },
    {
      id: 'generate',
      kind: 'role',
      title: 'Generate',
      role: 'generator',
      inputs: [port('question'), port('passages', 'passages'), port('draft'), port('critique')],
    },
    {
      id: 'evaluate',
      kind: 'role',
      title: 'Evaluate',
      role: 'evaluator',
      inputs: [port('question'), port('passages', 'passages'), port('answer')],
    },
    {
      id: 'keep',
      kind: 'memory',
      title: 'Keep',
      write: [
        { field: 'draft', how: 'replace' },
        { field: 'critique', how: 'replace' },
      ],
    },
    {
      id: 'accepted',
      kind: 'router',
      title: 'Accepted?',
      inputs: [port('draft'), port('verdict')],
      branches: [{ name: 'accept', when: 'verdict.lower() == "accept"' }],
      otherwise: 'revise',
    },
    result,
  ],
  edges: wires(
    'question.question > search.queries',
    'question.question > rounds.in',
    'rounds.body > recall.after',
    'question.question > generate.question',
    'search.passages > generate.passages',
    'recall.draft > generate.draft',
    'recall.critique > generate.critique',
    'question.question > evaluate.question',
    'search.passages > evaluate.passages',
    'generate.answer > evaluate.answer',
    'generate.answer > keep.draft',
    'evaluate.critique > keep.critique',
    'keep.draft > accepted.draft',
    'evaluate.verdict > accepted.verdict',
    'accepted.revise > rounds.again',
    'accepted.accept > result.answer',
    'rounds.done > result.answer',
  ),
  rewards: {
    rules: [
      outcome,
      {
        id: 'verdict',
        level: 'turn',
        roles: ['evaluator'],
        value: {
          kind: 'cel',
          expression:
            '(record.outputs.verdict.lower() == "accept") == (em(record.inputs.answer, query.answers) == 1.0)',
        },
      },
    ],
  },
};
