/**
 * The first positions of some pages of keys and values to other pages: where prompts part in the middle of a page, one of
 * them goes on in a copy. Rows of the step come in pairs, the page to copy from and the page to copy to, in place of slots;
 * the second's position says how many positions.
 */
import { keyFormatOf } from '../key-format.ts';
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { PAGE } from '../page-pool.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { writes } from '../wgsl.ts';
import type { HeadsShape } from './rotate.ts';

/** Bindings: step, k and v [pages, kvHeads, PAGE, headDim]. No page is copied from and to at once. */
export function copyKeysKernel({ kvHeads, headDim, keys }: HeadsShape, { threads }: Tuning): Kernel {
  const { four } = keyFormatOf(keys);
  const most = (kvHeads * PAGE * headDim) / 4;
  return kernel(
    `copy ${kvHeads} heads of ${headDim}`,
    {
      bindings: [STEP, writes('k', four), writes('v', four)],
      counts: { KV_HEADS: kvHeads, D4: headDim / 4, PAGE },
      threads,
      functions: STEP_FUNCTIONS,
      main: `
  let index = group.x * ${threads}u + thread;
  let row = 2u * group.y + 1u;
  if (row >= stepRows()) { return; }
  let stretch = positionOf(row) * D4;
  if (index >= KV_HEADS * stretch) { return; }
  let within = (index / stretch) * PAGE * D4 + index % stretch;
  let from_at = slotOf(row - 1u) * KV_HEADS * PAGE * D4 + within;
  let to_at = slotOf(row) * KV_HEADS * PAGE * D4 + within;
  k[to_at] = k[from_at];
  v[to_at] = v[from_at];`,
    },
    (rows) => [Math.ceil(most / threads), rows / 2],
  );
}

export type CopyInputs = { readonly rows: readonly StepRow[]; readonly k: Float32Array; readonly v: Float32Array };

export function copyKeysReference(
  { kvHeads, headDim }: HeadsShape,
  { rows, k, v }: CopyInputs,
): { readonly k: Float32Array; readonly v: Float32Array } {
  const copied = (keys: Float32Array): Float32Array => {
    const out = keys.slice();
    for (let pair = 0; pair < rows.length; pair += 2) {
      for (let head = 0; head < kvHeads; head++) {
        const at = ({ slot }: StepRow): number => (slot * kvHeads + head) * PAGE * headDim;
        const source = at(rows[pair]);
        out.set(keys.subarray(source, source + rows[pair + 1].position * headDim), at(rows[pair + 1]));
      }
    }
    return out;
  };
  return { k: copied(k), v: copied(v) };
}
