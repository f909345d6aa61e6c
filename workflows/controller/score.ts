/**
 * What other weights of a run say of words that were said: log-probabilities and entropies of one record's tokens under the
 * untrained team or a checkpoint. With them stand the ratio, what PPO would clip and the KL to the reference, token by token.
 */
import { UserError } from '../../engine/errors.ts';
import type { ControllerApi } from '../protocol.ts';
import { readAnyTrace } from '../workspace/forks.ts';
import { QUESTIONS } from '../workspace/layout.ts';
import { listCheckpoints } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import type { EngineRoom } from './engine-room.ts';
import type { Origin } from './fork.ts';
import { withTeam } from './team.ts';

export type Scoring = {
  request: Parameters<ControllerApi['scoreRecord']>[0];
  origin: Origin;
  store: Store;
  room: EngineRoom;
};

/** Likeliest tokens shown of each place. */
const ALTERNATIVES = 5;

/** Throws a UserError for a record without tokens and for a step without a checkpoint; step 0 is the untrained team. */
export async function scoreRecord({
  request: { run, trace, record, step },
  origin: { cast, seed, weights },
  store,
  room,
}: Scoring): ReturnType<ControllerApi['scoreRecord']> {
  const found = (await readAnyTrace(store, run, trace)).records.find(({ id }) => id === record);
  if (found?.tokens === undefined || found.policy === undefined || found.tokens.ids.length === 0)
    throw new UserError(`No tokens were kept for the record ${record}; choose what a role said`);
  const of = run === QUESTIONS ? (weights?.run ?? null) : run;
  const steps = of === null ? [] : await listCheckpoints(store, of);
  if (step !== 0 && !steps.includes(step))
    throw new UserError(`There is no checkpoint of step ${step}; there are 0, ${steps.join(', ')}`);
  const from = step === 0 ? null : { run: of!, step };
  const { policy, tokens } = found;
  const seating = { store, room, cast, seed, prefix: 'score', weights: from };
  const [scored] = await withTeam(seating, (_, score) =>
    score(policy, [{ promptIds: tokens.promptIds, ids: tokens.ids }], ALTERNATIVES),
  );
  const top = (scored.top ?? []).map((each) => each.map(({ piece, logprob }) => ({ piece, logprob })));
  return { logprobs: [...scored.logprobs], entropy: [...scored.entropy], top };
}
