/** What ends one question and leaves the others alone. */
import { UserError } from '../../engine/errors.ts';

/** This question cannot go on; the message says why. */
export class Dropped extends Error {}

/** A UserError inside a node drops the question; anything else is a bug and goes up. */
export function guarded<T>(node: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError) throw new Dropped(`${node}: ${error.message}`);
    throw error;
  }
}
