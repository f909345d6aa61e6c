/**
 * A team seated in the engine for as long as something is asked of it: its models loaded, its policies made, a checkpoint's
 * weights put into them, and everything given back at the end. What it says is never kept for training.
 */
import type { EngineApi } from '../../engine/protocol.ts';
import { answering, type Outside } from '../run/answering.ts';
import type { Generate } from '../run/runner.ts';
import type { Cast } from '../schema/cast.ts';
import { policyFiles, readRun } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { seatedCast } from './branch.ts';
import type { EngineRoom } from './engine-room.ts';

export type Seating = {
  store: Store;
  room: EngineRoom;
  cast: Cast;
  seed: number;
  /** What its policies are called in the engine: "question/team". */
  prefix: string;
  /** The checkpoint whose weights speak; null for untrained ones. */
  weights: { run: string; step: number } | null;
  outside?: Outside | undefined;
  /** Name of the engine's calls, by which they can be cancelled. */
  call?: string;
};

/** What the team's weights say of given words. */
export type Score = EngineApi['score'];

export async function withTeam<T>(
  { store, room, cast, seed, prefix, weights, outside, call }: Seating,
  work: (generate: Generate, score: Score) => Promise<T>,
): Promise<T> {
  const nameOf = (policy: string) => `${prefix}/${policy}`;
  const policies = Object.keys(cast.policies);
  const run = weights && (await readRun(store, weights.run));
  await room.seat(run ? seatedCast(run) : cast, seed, nameOf, () => {});
  try {
    const engine = await room.engine();
    for (const policy of run ? policies : []) {
      const files = await policyFiles(store, run!, weights!.step, policy);
      if (Object.keys(files).length > 0) await engine.importPolicy(nameOf(policy), files);
    }
    const speak: Generate = (policy, requests) =>
      engine.generate(
        nameOf(policy),
        requests.map((each) => ({ ...each, keep: false })),
        call,
      );
    return await work(answering(cast, speak, outside), (policy, items, top) =>
      engine.score(nameOf(policy), items, top),
    );
  } finally {
    await room.unseat(policies.map(nameOf));
  }
}
