/**
 * Dynamic loss scaling, where gradients pass through half floats on their way: those start at 6e-8, below which a token's share
 * in a mean over thousands often lies, and end at 65,504. A gradient that grew past the end has no finite norm; then the
 * scale halves and the gradient is computed again, so that no step is lost. After a stretch of good steps the scale doubles.
 * Powers of two change no digit. Source: Micikevicius et al. 2018, "Mixed precision training", section 3.2.
 */
import { UserError } from '../errors.ts';
import { isObject, show } from '../formats/json.ts';

export type LossScale = {
  /** What gradients are multiplied by within the trunk. */
  scale: number;
  /** Steps since it last changed. */
  good: number;
};

const FIRST = 2 ** 16;
const LEAST = 1;
const MOST = 2 ** 30;
/** A step that is computed twice every so often costs next to nothing. */
const GOOD_STEPS = 100;

export const newLossScale = (): LossScale => ({ scale: FIRST, good: 0 });

type Scaled = { readonly lossScale: LossScale | null };

/**
 * Calls `attempt`, which returns a gradient's norm and changes nothing unless that is finite, until it is. Where not even the
 * least scale helps, the norm as it came, and the scale as it was.
 */
export async function underScale(
  { lossScale }: Scaled,
  notes: string[],
  attempt: () => Promise<number>,
): Promise<number> {
  const before = lossScale?.scale;
  for (;;) {
    const norm = await attempt();
    if (!lossScale || before === undefined) return norm;
    if (Number.isFinite(norm)) {
      if (lossScale.scale < before) notes.push(loweredNote(before, lossScale.scale));
      return norm;
    }
    if (lossScale.scale === LEAST) {
      lossScale.scale = before;
      return norm;
    }
    lossScale.scale /= 2;
    lossScale.good = 0;
  }
}

function loweredNote(before: number, after: number): string {
  const said = (scale: number): string => scale.toLocaleString('en-US');
  return `the loss scale went from ${said(before)} to ${said(after)}: gradients were too large for half floats`;
}

/** After each step that was taken. */
export function countGoodStep({ lossScale }: Scaled): void {
  if (!lossScale || ++lossScale.good < GOOD_STEPS) return;
  lossScale.scale = Math.min(MOST, 2 * lossScale.scale);
  lossScale.good = 0;
}

/** From a checkpoint. Throws a UserError for what no training leaves behind. */
export function readLossScale(saved: unknown): LossScale {
  const { scale, good } = isObject(saved) ? saved : {};
  const power = typeof scale === 'number' && Number.isInteger(Math.log2(scale)) && scale >= LEAST && scale <= MOST;
  if (!power || typeof good !== 'number' || !Number.isInteger(good) || good < 0 || good >= GOOD_STEPS)
    throw new UserError(
      `The checkpoint's loss scale is ${show(saved)}, which no training leaves behind: load another checkpoint.`,
    );
  return { scale, good };
}
