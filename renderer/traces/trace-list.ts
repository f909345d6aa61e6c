/**
 * A list of up to a hundred thousand traces read in pages as it is scrolled. Pages are kept by number; a changed filter
 * starts anew, and answers to an older filter are dropped.
 */
import type { TraceFilter, TraceSummary } from '../../workflows/protocol.ts';

export const PAGE = 100;

export type Filters = {
  readonly text: string;
  readonly step: number | null;
  readonly phase: 'any' | 'train' | 'eval' | 'run';
  readonly legality: 'any' | 'legal' | 'illegal';
};
export const noFilters: Filters = { text: '', step: null, phase: 'any', legality: 'any' };

export function filterOf(filters: Filters, page: number): TraceFilter {
  const filter: TraceFilter = { offset: page * PAGE, limit: PAGE };
  if (filters.text.trim()) filter.text = filters.text.trim();
  if (filters.step !== null) filter.step = filters.step;
  if (filters.phase !== 'any') filter.phase = filters.phase;
  if (filters.legality !== 'any') filter.legal = filters.legality === 'legal';
  return filter;
}

/** Pages that cover the rows from `first` to `last` and are not among those known. */
export function missingPages(first: number, last: number, total: number, known: ReadonlySet<number>): number[] {
  if (total === 0 || last < first) return [];
  const pages: number[] = [];
  for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.min(last, total - 1) / PAGE); page++)
    if (!known.has(page)) pages.push(page);
  return pages;
}

export function rowAt(pages: ReadonlyMap<number, readonly TraceSummary[]>, at: number): TraceSummary | undefined {
  return pages.get(Math.floor(at / PAGE))?.[at % PAGE];
}
