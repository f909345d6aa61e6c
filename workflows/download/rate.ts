/** How fast something moves, over the last ten seconds, and so how long the rest takes: honest when it stands still. */
const WINDOW_MS = 10_000;
const SETTLED_MS = 1_500;

export type Rate = {
  add(count: number, now: number): void;
  /** Units a second. */
  perSecond(now: number): number;
  /** Milliseconds for `rest`; null while nothing can be said. */
  etaMs(rest: number, now: number): number | null;
};

export function openRate(): Rate {
  let seen: { at: number; count: number }[] = [];
  let since: number | null = null;
  const perSecond = (now: number): number => {
    seen = seen.filter(({ at }) => at > now - WINDOW_MS);
    const first = Math.max(since ?? now, now - WINDOW_MS);
    const sum = seen.reduce((total, { count }) => total + count, 0);
    return now - first <= 0 ? 0 : Math.max(0, (sum / (now - first)) * 1_000);
  };
  return {
    add: (count, now) => {
      since ??= now;
      const last = seen.at(-1);
      // One entry for each tenth of a second keeps the window small however many pieces come.
      if (last && now - last.at < 100) last.count += count;
      else seen.push({ at: now, count });
    },
    perSecond,
    etaMs: (rest, now) => {
      const rate = perSecond(now);
      return since === null || now - since < SETTLED_MS || rate <= 0 ? null : (rest / rate) * 1_000;
    },
  };
}
