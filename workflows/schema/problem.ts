/**
 * One problem of a workflow: where it is, what kind, and a sentence with the remedy in it.
 */
import { UserError } from '../../engine/errors.ts';

export type Problem = {
  level: 'error' | 'warning';
  code: ProblemCode;
  /** What it is about; several may be given. */
  at: { node?: string; role?: string; rule?: string; edge?: number };
  message: string;
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
  | 'several-values';

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
