/**
 * Smoothing that does not lie at the ends: at each point a straight line is fitted to its neighbours, near ones counting
 * more, and its value there is taken. A moving average lags behind a rising curve and bends towards the middle at both
 * ends; a local line does neither. Source: Cleveland 1979 (LOWESS), degree 1, tricube weights, without its robust pass.
 */

/** How far smoothing reaches to each side, in steps; 0 is off. */
export const reaches = [0, 5, 15, 50] as const;

/**
 * `values` [n] at rising `steps` [n], smoothed over the neighbours less than `reach` steps away; null stays null and counts
 * nowhere. Fewer than three neighbours are too few for a line, and their value is left as it is.
 */
export function smooth(
  steps: readonly number[],
  values: readonly (number | null)[],
  reach: number,
): readonly (number | null)[] {
  if (reach <= 0) return values;
  let from = 0;
  return values.map((value, at) => {
    if (value === null) return null;
    while (steps[from] <= steps[at] - reach) from++;
    return fitted(steps, values, { from, at, reach }) ?? value;
  });
}

type Window = { readonly from: number; readonly at: number; readonly reach: number };

/** The weighted line's value at `steps[at]`, in distances from it, so that its intercept is the value. */
function fitted(
  steps: readonly number[],
  values: readonly (number | null)[],
  { from, at, reach }: Window,
): number | null {
  let [count, w, wx, wxx, wy, wxy] = [0, 0, 0, 0, 0, 0];
  for (let i = from; i < steps.length && steps[i] < steps[at] + reach; i++) {
    const y = values[i];
    if (y === null) continue;
    const x = steps[i] - steps[at];
    const weight = (1 - (Math.abs(x) / reach) ** 3) ** 3;
    count += 1;
    w += weight;
    wx += weight * x;
    wxx += weight * x * x;
    wy += weight * y;
    wxy += weight * x * y;
  }
  const spread = w * wxx - wx * wx;
  return count < 3 || spread <= 0 ? null : (wy * wxx - wxy * wx) / spread;
}
