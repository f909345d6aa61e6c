/**
 * A list of up to a hundred thousand traces read in pages as it is scrolled: what is filtered, what each row shows and which
 * pages are still to be read. Pages are kept by number, the latest few dozen of them, so that memory stays flat.
 */
import type { TraceFilter, TraceMeans, TraceOrder, TraceRow } from '../../workflows/protocol.ts';
import { score, signed } from '../kit/format.ts';
import { words } from '../words.ts';

export const PAGE = 100;
/** Pages held at once. */
export const PAGES_KEPT = 40;

export type Filters = {
  readonly text: string;
  readonly step: number | null;
  /** First and last step, as a person wrote them: "10-20", "10-", "-20". */
  readonly range: string;
  readonly phase: 'any' | 'train' | 'eval' | 'run';
  readonly legality: 'any' | 'legal' | 'illegal';
  readonly role: string;
  readonly failure: 'any' | 'failed' | 'fine' | 'dropped';
  /** Least and most, as a person wrote them: "0.5-1", "-1--0.5". */
  readonly reward: string;
  readonly score: string;
  readonly tag: string;
  readonly query: string;
  readonly order: TraceOrder;
};
export const noFilters: Filters = {
  text: '',
  step: null,
  range: '',
  phase: 'any',
  legality: 'any',
  role: '',
  failure: 'any',
  reward: '',
  score: '',
  tag: '',
  query: '',
  order: 'newest',
};

export const orders: readonly TraceOrder[] = [
  'newest',
  'oldest',
  'query',
  'best',
  'worst',
  'most-reward',
  'least-reward',
  'longest',
];

/** "0.2 - 1", "0.2-", "-1--0.5" or one number; null for what is no range. */
export function rangeOf(text: string): [number, number] | null {
  const number = String.raw`[−-]?\d+(?:\.\d+)?`;
  const found = new RegExp(`^\\s*(${number})?\\s*(?:(?:-|–|to|…|\\.\\.)\\s*(${number})?)?\\s*$`).exec(text);
  if (!found || text.trim() === '') return null;
  const [from, to] = [found[1], found[2]].map((one) => (one === undefined ? null : Number(one.replace('−', '-'))));
  if (from === null && to === null) return null;
  const single = to === null && !/\d\s*(-|–|to|…|\.\.)\s*$/.test(text);
  return single ? [from!, from!] : [from ?? -Infinity, to ?? Infinity];
}

/** A step or a range of steps as written: "12", "10-20", "-20". */
export function stepsOf(text: string): { step: number } | { range: [number, number] } | null {
  const found = /^\s*(\d{1,9})?\s*(-|–)?\s*(\d{1,9})?\s*$/.exec(text);
  if (!found || (found[1] === undefined && found[3] === undefined)) return null;
  if (found[2] === undefined) return { step: Number(found[1]) };
  return { range: [Number(found[1] ?? 0), found[3] === undefined ? Infinity : Number(found[3])] };
}

export function filterOf(filters: Filters, page: number): TraceFilter {
  const filter: TraceFilter = { offset: page * PAGE, limit: PAGE };
  if (filters.text.trim()) filter.text = filters.text.trim();
  if (filters.step !== null) filter.step = filters.step;
  const steps = stepsOf(filters.range);
  if (filters.step === null && steps && 'range' in steps) [filter.from, filter.to] = steps.range;
  if (filters.phase !== 'any') filter.phase = filters.phase;
  if (filters.legality !== 'any') filter.legal = filters.legality === 'legal';
  if (filters.role) filter.role = filters.role;
  if (filters.failure === 'dropped') filter.dropped = true;
  else if (filters.failure !== 'any') filter.failed = filters.failure === 'failed';
  const [reward, scored] = [rangeOf(filters.reward), rangeOf(filters.score)];
  if (reward) filter.reward = reward;
  if (scored) filter.score = scored;
  if (filters.tag) filter.tag = filters.tag;
  if (filters.query) filter.query = filters.query;
  if (filters.order !== 'newest') filter.order = filters.order;
  return filter;
}

/** How many of the filters that are not always in view are set. */
export function hiddenFilters(filters: Filters): number {
  const { role, failure, reward, score: scored, tag } = filters;
  return [role !== '', failure !== 'any', rangeOf(reward), rangeOf(scored), tag !== ''].filter(Boolean).length;
}

/** Pages that cover the rows from `first` to `last` and are not among those known. */
export function missingPages(first: number, last: number, total: number, known: ReadonlySet<number>): number[] {
  if (total === 0 || last < first) return [];
  const pages: number[] = [];
  for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.min(last, total - 1) / PAGE); page++)
    if (!known.has(page)) pages.push(page);
  return pages;
}

/** Pages to let go, farthest from the one in view first. */
export function surplusPages(known: Iterable<number>, inView: number): number[] {
  return [...known].sort((a, b) => Math.abs(a - inView) - Math.abs(b - inView)).slice(PAGES_KEPT);
}

export function rowAt(pages: ReadonlyMap<number, readonly TraceRow[]>, at: number): TraceRow | undefined {
  return pages.get(Math.floor(at / PAGE))?.[at % PAGE];
}

// ---- columns ---------------------------------------------------------------------------------------------------

export const columnNames = [
  'step',
  'question',
  'score',
  'reward',
  'marks',
  'answer',
  'tags',
  'phase',
  'f1',
  'em',
  'records',
  'tokens',
] as const;
/** One of those above, or `role:<name>` for that role's reward. */
export type Column = (typeof columnNames)[number] | `role:${string}`;
export const usualColumns: readonly Column[] = ['step', 'question', 'score', 'reward', 'marks', 'answer', 'tags'];

/** Pixels; those of text take what is left, and at least this. */
const widths: Readonly<Record<(typeof columnNames)[number], number>> = {
  step: 38,
  question: 130,
  score: 40,
  reward: 52,
  marks: 64,
  answer: 110,
  tags: 90,
  phase: 64,
  f1: 36,
  em: 36,
  records: 52,
  tokens: 52,
};
const ROLE_WIDTH = 64;
const GAP = 8;
const flexible = new Set<Column>(['question', 'answer', 'tags']);
export const numeric = (column: Column): boolean =>
  column.startsWith('role:') || ['step', 'score', 'f1', 'em', 'records', 'tokens'].includes(column);

function widthOf(column: Column): number {
  return column.startsWith('role:') ? ROLE_WIDTH : widths[column as (typeof columnNames)[number]];
}

export function isColumn(value: unknown): value is Column {
  return typeof value === 'string' && (value.startsWith('role:') || (columnNames as readonly string[]).includes(value));
}

/** Of the chosen columns, in their order, those there is room for; the question always stays. */
export function fittingColumns(chosen: readonly Column[], width: number): Column[] {
  const all: readonly Column[] = [...columnNames, ...chosen.filter((column) => column.startsWith('role:'))];
  const wanted = all.filter((column) => column === 'question' || chosen.includes(column));
  let left = width - widthOf('question');
  return wanted.filter((column) => {
    if (column === 'question') return true;
    const needed = widthOf(column) + GAP;
    if (needed > left) return false;
    left -= needed;
    return true;
  });
}

export function gridOf(columns: readonly Column[]): string {
  const width = (column: Column): string => {
    if (!flexible.has(column)) return `${widthOf(column)}px`;
    return `minmax(${widthOf(column)}px, ${column === 'question' ? 3 : 1}fr)`;
  };
  return columns.map(width).join(' ');
}

/** What a column shows of a row as text; the reward's bar and the marks are drawn. */
export function cell(row: TraceRow, column: Column): string {
  if (column.startsWith('role:')) return signed(row.roles[column.slice('role:'.length)]?.[0]);
  switch (column as (typeof columnNames)[number]) {
    case 'step':
      return String(row.step);
    case 'phase':
      return words.traces.phases[row.phase];
    case 'question':
      return row.question;
    case 'answer':
      return row.answer;
    case 'score':
      return score(row.score);
    case 'f1':
      return score(row.f1);
    case 'em':
      return score(row.em);
    case 'reward':
      return signed(row.reward);
    case 'marks':
      return marksOf(row).join(', ');
    case 'records':
      return String(row.records);
    case 'tokens':
      return String(row.tokens);
    case 'tags':
      return (row.tags ?? []).join(', ');
  }
}

/** What went wrong with a trace, in a word each. */
export function marksOf(row: TraceRow): string[] {
  const { dropped, illegal, failed } = words.traces;
  if (row.status === 'dropped') return [dropped];
  return [...(row.legal ? [] : [illegal]), ...(row.failed ? [failed] : [])];
}

/** What all listed traces come to, in a line. */
export function spokenMeans({ score: mean, reward, illegal, dropped }: TraceMeans): string {
  const share = (of: number): string => `${(100 * of).toFixed(of > 0 && of < 0.01 ? 1 : 0)} %`;
  return words.traces.means(score(mean), signed(reward), share(illegal), dropped === 0 ? '' : share(dropped));
}

/** A row as it is read aloud. */
export function spokenRow(row: TraceRow): string {
  const { option, phases, tagged, groupOf } = words.traces;
  const rest = [...marksOf(row), ...(row.tags?.length ? [tagged(row.tags.join(', '))] : [])];
  const group = row.group === undefined ? [] : [groupOf(row.group)];
  const said = option(row.step, phases[row.phase], row.question, score(row.score), signed(row.reward));
  return [...group, said, ...rest].join(', ');
}
