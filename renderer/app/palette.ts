/** What the command palette offers and how it ranks: letters of the query in order, with beginnings of words first. */
export type PaletteItem = {
  readonly id: string;
  readonly kind: 'screen' | 'action' | 'workflow' | 'run' | 'model' | 'node' | 'trace';
  readonly label: string;
  readonly detail: string;
  readonly run: () => void;
};

/** How well a query fits a text; null when it does not. Higher is better. */
export function fit(query: string, text: string): number | null {
  const wanted = query.toLowerCase().replace(/\s+/g, '');
  const inside = text.toLowerCase();
  let points = 0;
  let from = 0;
  let previous = -2;
  for (const letter of wanted) {
    const at = inside.indexOf(letter, from);
    if (at < 0) return null;
    if (at === previous + 1) points += 3;
    if (at === 0 || /[\s\-_·/]/.test(inside[at - 1])) points += 2;
    points -= Math.min(2, (at - from) * 0.1);
    previous = at;
    from = at + 1;
  }
  return points - inside.length * 0.01;
}

/** Those that fit, best first; all of them, in their own order, while nothing is typed. A label weighs more than a detail. */
export function ranked<Item extends Pick<PaletteItem, 'label' | 'detail'>>(
  items: readonly Item[],
  query: string,
  limit = Infinity,
): Item[] {
  if (query.trim() === '') return items.slice(0, limit);
  return items
    .map((item) => ({
      item,
      points: fit(query, item.label) ?? (fit(query, `${item.label} ${item.detail}`) ?? NaN) - 2,
    }))
    .filter(({ points }) => !Number.isNaN(points))
    .sort((a, b) => b.points - a.points)
    .slice(0, limit)
    .map(({ item }) => item);
}
