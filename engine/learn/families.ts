/**
 * Which sequences begin alike, so that one micro-batch computes their common prefix once: the roles' system prompts and
 * worked examples, a query's samples, a turn's history. A family is worth its own micro-batches where what it saves
 * outweighs what one more micro-batch costs.
 */
import { sharedLength } from '../model/row-layout.ts';

/** What another micro-batch costs beside its tokens, in tokens: adding its gradient and starting it. */
const OWN_BATCH = 64;

type Prompts = readonly ArrayLike<number>[];

/** Cuts `members` (indices of prompts) into families; together they are the members, each once. */
export function families(prompts: Prompts, members: readonly number[]): number[][] {
  return members.length > 0 ? cut(prompts, members).families : [];
}

/** Tokens to compute beside the families. A branch of the tree of prompts stands apart where that is cheaper. */
function cut(prompts: Prompts, members: readonly number[]): { families: number[][]; cost: number } {
  const shared = sharedLength(members.map((i) => prompts[i]));
  const branches = new Map<number | null, number[]>();
  for (const i of members) {
    const next = shared < prompts[i].length - 1 ? prompts[i][shared] : null; // null: ends here
    branches.set(next, [...(branches.get(next) ?? []), i]);
  }
  const together: number[] = [];
  const apart: number[][] = [];
  let cost = 0;
  for (const [next, branch] of branches) {
    const within = branch.reduce((sum, i) => sum + prompts[i].length - shared, 0);
    const own = next !== null && branch.length > 1 && branches.size > 1 ? cut(prompts, branch) : null;
    if (own && own.cost < within) {
      apart.push(...own.families);
      cost += own.cost;
    } else {
      together.push(...branch);
      cost += within;
    }
  }
  if (together.length > 0) cost += shared + OWN_BATCH;
  return { families: together.length > 0 ? [together, ...apart] : apart, cost };
}
