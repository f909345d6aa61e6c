/**
 * Completion while an expression is written: names it may read, behind a point what such a value has, and the functions of the
 * language. The same for CEL and, without the functions, for JavaScript.
 */
import { metrics } from '../../workflows/rewards/answer.ts';
import { rewardNames } from '../../workflows/rewards/scope.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import type { Completion } from './completion.ts';
import { portsOf } from './ports.ts';

/** What an expression may read: names, and by the way to a value the names behind its point. */
export type Readable = {
  readonly names: readonly string[];
  readonly members: Readonly<Record<string, readonly string[]>>;
};

/** Functions of one value or more that users most need; `size`, `has` and the macros are the language's own. */
export const functions = ['f1', 'em', 'min', 'max', 'abs', 'sum', 'best', 'put', 'size', 'has'] as const;
/** Said of a value: `text.lower()`. */
export const methods = [
  'lower',
  'trim',
  'contains',
  'startsWith',
  'endsWith',
  'matches',
  'split',
  'map',
  'filter',
  'exists',
  'all',
] as const;

const ofRecord = ['id', 'node', 'role', 'turn', 'index', 'text', 'legal', 'length', 'inputs', 'outputs'];

/** What a reward may read in this team. */
export function readableByRewards(workflow: Workflow): Readable {
  const roles = workflow.nodes.filter((node) => node.kind === 'role').map((node) => portsOf(workflow, node));
  const names = (side: 'inputs' | 'outputs'): string[] => [
    ...new Set(roles.flatMap((ports) => ports[side].map(({ name }) => name))),
  ];
  const records = ['record', 'previous', 'next'].flatMap((name) => [
    [name, ofRecord] as const,
    [`${name}.inputs`, names('inputs')] as const,
    [`${name}.outputs`, names('outputs')] as const,
  ]);
  return {
    names: rewardNames,
    members: { query: ['id', 'question', 'answers'], score: metrics, ...Object.fromEntries(records) },
  };
}

/** What fits at the caret; null where no name is being written. */
export function expressionCompletionAt(
  text: string,
  caret: number,
  { names, members }: Readable,
  cel: boolean,
): Completion | null {
  const before = text.slice(0, caret);
  if (withinText(before)) return null;
  const [, way = '', typed = ''] = /((?:[A-Za-z_]\w*\.)*)([A-Za-z_]\w*)?$/.exec(before) ?? [];
  if (way === '' && typed === '') return null;
  // A point behind a bracket or a number reads no name that is known here.
  if (way === '' && /[.\w)\]]$/.test(before.slice(0, before.length - typed.length))) return null;
  const known =
    way === ''
      ? [...names, ...(cel ? functions : [])]
      : [...(members[way.slice(0, -1)] ?? []), ...(cel ? methods : [])];
  const options = known.filter((name) => name.startsWith(typed) && name !== typed);
  return options.length > 0 ? { from: caret - typed.length, options: options.slice(0, 12) } : null;
}

/** Whether a text in quotes is open. */
function withinText(before: string): boolean {
  let quote = '';
  for (let at = 0; at < before.length; at++) {
    const letter = before[at];
    if (quote !== '' && letter === '\\') at++;
    else if (quote === letter) quote = '';
    else if (quote === '' && (letter === '"' || letter === "'")) quote = letter;
  }
  return quote !== '';
}

/** The text with an option put in place of what was typed, and where the caret goes: into the brackets of a function. */
export function expressionCompleted(
  text: string,
  caret: number,
  { from }: Completion,
  option: string,
): { text: string; caret: number } {
  const calls = [...functions, ...methods].some((name) => name === option);
  const open = text[caret] === '(';
  const put = calls && !open ? `${option}()` : option;
  const inside = calls && !open ? 1 : 0;
  return { text: text.slice(0, from) + put + text.slice(caret), caret: from + put.length - inside };
}
