/** The one option of the generated tasks: which village. */
import { UserError } from '../../engine/errors.ts';
import type { TaskOptions } from './task.ts';

/** 0 where none is given. Throws a UserError for another option or what is no seed. */
export function villageSeed(task: string, options: TaskOptions): number {
  const unknown = Object.keys(options).find((name) => name !== 'seed');
  if (unknown !== undefined)
    throw new UserError(`${task} has no option of this name: ${unknown}; its only option is seed`);
  const seed = options['seed'] ?? 0;
  if (typeof seed !== 'number' || !Number.isInteger(seed) || seed < 0 || seed > 1_000_000)
    throw new UserError(`The village's seed must be a whole number from 0 to 1000000: ${JSON.stringify(seed)}`);
  return seed;
}
