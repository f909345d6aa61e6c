/**
 * One problem of a workflow: where it is, what kind, and a sentence with the remedy in it.
 */
import { UserError } from '../../engine/errors.ts';

export type Problem = {
  level: 'error' | 'warning';
  code: ProblemCode;
  at: ProblemPlace;
  message: string;
};

/**
 * What a problem is about; several may be given. Of what stands in a sub-workflow `node` is the one that runs it, and
 * `within` says where in the part of that name.
 */
export type ProblemPlace = {
  node?: string;
  role?: string;
  rule?: string;
  policy?: string;
  edge?: number;
  within?: { part: string; at: ProblemPlace };
};

export type ProblemCode =
  | 'duplicate-node'
  | 'unknown-role'
  | 'tool'
  | 'unknown-port'
  | 'type-mismatch'
  | 'unconnected'
  | 'circle'
  | 'unreachable'
  | 'unused'
  | 'no-input'
  | 'no-output'
  | 'prompt-variable'
  | 'role-without-variable'
  | 'role-unplayed'
  | 'parser'
  | 'expression'
  | 'reward-unreceived'
  | 'reward-duplicate'
  | 'reward-metric'
  | 'reward-level'
  | 'reward-series'
  | 'memory'
  | 'sub-workflow'
  | 'loop-exit'
  | 'several-values'
  | 'no-policy'
  | 'untrainable';

export function error(code: ProblemCode, at: Problem['at'], message: string): Problem {
  return { level: 'error', code, at, message };
}

export function warning(code: ProblemCode, at: Problem['at'], message: string): Problem {
  return { level: 'warning', code, at, message };
}

/** The sentence of a UserError; bugs go up. */
export function complaint(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (thrown) {
    if (thrown instanceof UserError) return thrown.message;
    throw thrown;
  }
}
