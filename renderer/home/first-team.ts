/** What "Train your first team" starts: the two-role team on the bundled village with the bundled model, one seed, all else default. */
import type { TrainRequest } from '../../workflows/protocol.ts';

export const firstTeam: TrainRequest = {
  workflow: 'qd-answer',
  task: 'village-qa',
  model: 'nano',
  cast: 'shared',
  seed: 1,
};
