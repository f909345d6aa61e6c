/**
 * Voting (self-consistency, Wang et al. 2023): one role answers three times at once, and the answer most samples gave wins;
 * answers count as the same after SQuAD's normalisation, and of equals the first wins. Each voter is rewarded with its own
 * answer; the rule `vote`, of weight 0, is the outcome of the vote for whoever wants it.
 */
import type { WorkflowInput } from '../schema/workflow.ts';
import { answerFormat, answerPrompt, outcome, port, question, result, search, wires } from './parts.ts';

export const voting: WorkflowInput = {
  troupe: 'workflow',
  version: 2,
  name: 'voting',
  title: 'Voting',
  description: 'Three voters answer at once; the answer most of them gave wins.',
  roles: {
    voter: {
      title: 'Voter',
      description: 'Answers with a short phrase from the passages.',
      prompt: answerPrompt,
      ...answerFormat,
    },
  },
  nodes: [
    question,
    search('search'),
    {
      id: 'vote',
      kind: 'role',
      title: 'Vote',
      role: 'voter',
      inputs: [port('question'), port('passages', 'passages')],
      samples: 3,
    },
    { id: 'majority', kind: 'tool', title: 'Majority', tool: 'majority-vote' },
    result,
  ],
  edges: wires(
    'question.question > search.queries',
    'question.question > vote.question',
    'search.passages > vote.passages',
    'vote.answer > majority.answers',
    'majority.answer > result.answer',
  ),
  rewards: {
    rules: [
      { id: 'own', level: 'role', roles: ['voter'], value: { kind: 'own', metric: 'f1' } },
      { ...outcome, id: 'vote', weight: 0 },
    ],
  },
};
