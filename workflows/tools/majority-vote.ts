/**
 * The answer most voters gave. Answers count as the same when they are equal after SQuAD's normalisation; of several equally
 * frequent the one given first wins, in the words it was first given in. Empty answers do not vote.
 * Source: Wang et al. 2023 (self-consistency), section 2.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { normalise } from '../rewards/answer.ts';
import { isTextList } from '../schema/value.ts';
import type { Tool } from './tool.ts';

export const majorityVote: Tool = {
  name: 'majority-vote',
  title: 'Majority vote',
  description: 'Takes the answer that most voters gave.',
  settings: z.object({}),
  ports: () => ({
    inputs: [{ name: 'answers', type: 'list', optional: false }],
    outputs: [
      { name: 'answer', type: 'text', optional: false },
      { name: 'share', type: 'number', optional: false },
    ],
  }),
  run(inputs) {
    const given = inputs['answers'];
    const answers = typeof given === 'string' ? [given] : isTextList(given) ? given : null;
    if (answers === null) throw new UserError('The vote needs a list of texts as its answers; connect a list or texts');
    return vote(answers);
  },
};

/** `share` is the part of the votes the winner has, in [0, 1]. */
function vote(answers: readonly string[]): { answer: string; share: number } {
  const votes = answers.filter((answer) => answer.trim() !== '');
  if (votes.length === 0) throw new UserError('The vote has no answers to count; all are empty');
  const counts = new Map<string, { answer: string; count: number }>();
  for (const answer of votes) {
    const key = normalise(answer);
    const found = counts.get(key);
    if (found === undefined) counts.set(key, { answer, count: 1 });
    else found.count += 1;
  }
  const winner = [...counts.values()].reduce((best, each) => (each.count > best.count ? each : best));
  return { answer: winner.answer, share: winner.count / votes.length };
}
