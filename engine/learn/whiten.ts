/**
 * Whitening: advantages brought to mean 0 and variance 1 within a scope. The scope decides who is compared with whom: all
 * tokens of the policy (UnityMAS-O), of one role (Dr. MAS, arXiv 2602.08847), of one role at one turn, or nobody.
 */
import type { WhitenScope } from '../protocol.ts';

const EPSILON = 1e-8;

/** The scope's name for a record: records with the same name are whitened together. */
export function scopeOf(record: { readonly role: string; readonly turn: number }, scope: WhitenScope): string {
  switch (scope) {
    case 'policy':
    case 'none':
      return '';
    case 'role':
      return record.role;
    case 'role+turn':
      return `${record.role} ${record.turn}`;
    default:
      return scope satisfies never;
  }
}

/**
 * (A - mean) / sqrt(var + 1e-8) over all tokens of the responses whose `groups` entry is equal, with the unbiased variance.
 * advantages: [n]; starts: [responses + 1]; groups: [responses]. A group of one token keeps its value: it has no variance.
 * Source: verl's masked_whiten.
 */
export function whiten(advantages: Float32Array, starts: Uint32Array, groups: readonly string[]): Float32Array {
  const out = advantages.slice();
  for (const members of membersOf(groups).values()) {
    let count = 0;
    let sum = 0;
    forTokens(members, starts, (t) => {
      count++;
      sum += advantages[t];
    });
    if (count < 2) continue;
    const mean = sum / count;
    let squares = 0;
    forTokens(members, starts, (t) => (squares += (advantages[t] - mean) ** 2));
    const scale = 1 / Math.sqrt(squares / (count - 1) + EPSILON);
    forTokens(members, starts, (t) => (out[t] = (advantages[t] - mean) * scale));
  }
  return out;
}

/** Indices by their group's name, in order of first appearance. */
export function membersOf(groups: readonly string[]): Map<string, number[]> {
  const members = new Map<string, number[]>();
  groups.forEach((name, i) => {
    const list = members.get(name);
    if (list) list.push(i);
    else members.set(name, [i]);
  });
  return members;
}

function forTokens(responses: readonly number[], starts: Uint32Array, visit: (token: number) => void): void {
  for (const r of responses) for (let t = starts[r]; t < starts[r + 1]; t++) visit(t);
}
