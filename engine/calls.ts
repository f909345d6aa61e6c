/**
 * Order among an engine's calls: those that use the device run one after another, and a running or waiting one that was
 * given an id can be cancelled by it. Out of memory leaves here as a sentence for the person.
 */
import { isOutOfMemory } from './device/out-of-memory.ts';
import { Cancelled, UserError } from './errors.ts';

export class Calls {
  #last: Promise<unknown> = Promise.resolve();
  readonly #running = new Set<string>();
  readonly #cancelled = new Set<string>();

  /** Runs `work` after everything asked for before it. */
  exclusive<T>(work: () => Promise<T> | T, call?: string): Promise<T> {
    if (call !== undefined) this.#running.add(call);
    const result = this.#last.then(async () => {
      try {
        return await work();
      } catch (error) {
        throw readable(error);
      } finally {
        if (call !== undefined) this.#forget(call);
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }

  /** Ends a call that runs or waits; one that is over or unknown is left alone. */
  cancel(call: string): void {
    if (this.#running.has(call)) this.#cancelled.add(call);
  }

  cancelled(call: string | undefined): boolean {
    return call !== undefined && this.#cancelled.has(call);
  }

  #forget(call: string): void {
    this.#running.delete(call);
    this.#cancelled.delete(call);
  }
}

function readable(error: unknown): unknown {
  if (error instanceof UserError || error instanceof Cancelled || !isOutOfMemory(error)) return error;
  return new UserError(
    `${(error as Error).message}; unload a model, use LoRA instead of full fine-tuning, or shorten prompts`,
  );
}
