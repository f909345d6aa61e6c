/**
 * Several samples of one question, for estimators that compare answers with each other. Independent samples differ from
 * their first call on. Branched ones share a prefix with the first, the trunk: sample s keeps the trunk's seeds, and so its
 * text, until the call it branches at, and what is compared there has all the same behind it (AT-GRPO, arXiv 2510.11062;
 * C3, arXiv 2603.06859). The prefix is sampled again instead of copied: a seed decides the text, whatever else runs beside it.
 */
import { UserError } from '../../engine/errors.ts';
import { hashSeed } from './seed.ts';

export type Sample = {
  /** 0 is the trunk. */
  readonly index: number;
  /** The call, counted from 0, at which a branched sample leaves the trunk; absent for independent samples. */
  readonly branchAt?: number;
  /** How many calls of a question are branched at; absent for independent samples. */
  readonly branches?: number;
  /** Whose draw each call before the branch repeats; the first sample's when absent. Which calls count is then told afterwards. */
  readonly trunk?: readonly number[];
};

/**
 * The samples of one question. With `branch`, those after the first leave it at call 0, 1, … `calls` - 1 in turn. Throws a
 * UserError where some call would have nothing to be compared with.
 */
export function samplesOf(count: number, branch: boolean, calls: number): Sample[] {
  if (branch && count <= calls)
    throw new UserError(
      `Branching needs a sample besides the first for each of the ${calls} calls: ${count} samples a question are too few; use at least ${calls + 1}`,
    );
  return Array.from({ length: count }, (_, index) => {
    if (!branch) return { index };
    return { index, branches: calls, ...(index === 0 ? {} : { branchAt: (index - 1) % calls }) };
  });
}

/** The seed of a sample's n-th call, from the one the first sample has there. */
export function sampleSeed(seed: number, sample: Sample, call: number): number {
  const owner = ownerOf(sample, call);
  return owner === 0 ? seed : hashSeed(seed, owner);
}

/** The sample that draws the n-th call of this one: itself from where it branches, before it whom it follows. */
export function ownerOf({ index, branchAt = 0, trunk }: Sample, call: number): number {
  return call >= branchAt ? index : (trunk?.[call] ?? 0);
}

/**
 * Whether the n-th call is learned from. Of a branched sample only the call at the branch is: what comes before is the
 * trunk's own, and what follows has nothing to be compared with. The trunk's calls count where others branch.
 */
export function learnsFrom({ index, branchAt, branches, trunk }: Sample, call: number): boolean {
  if (branches === undefined) return true;
  if (trunk !== undefined) return call >= (branchAt ?? 0) && call < branches;
  return index === 0 ? call < branches : call === branchAt;
}
