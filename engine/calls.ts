/**
 * Order among an engine's calls: those that use the device run one after another, but for generation, which the next in
 * line joins. A running or waiting call that was given an id can be cancelled by it. Out of memory leaves here as a sentence
 * for the person.
 */
import { isOutOfMemory } from './device/out-of-memory.ts';
import { nextTurn } from './device/device.ts';
import { Cancelled, UserError } from './errors.ts';

/** Work that takes callers in while it runs. */
export type Session = {
  /** Until all who came are answered; may be called again. Never rejects: those who asked are told. */
  run(): Promise<void>;
  readonly busy: boolean;
};

/** A session that stands last in line: null until it runs, and who came before that. */
type Last<S> = { session: S | null; readonly early: ((session: S) => void)[] };

export class Calls<S extends Session> {
  #end: Promise<unknown> = Promise.resolve();
  #last: Last<S> | null = null;
  /** How many calls go by each id. */
  readonly #running = new Map<string, number>();
  readonly #cancelled = new Set<string>();

  /** Runs `work` after everything asked for before it. */
  exclusive<T>(work: () => Promise<T> | T, call?: string): Promise<T> {
    this.#last = null;
    return this.#counted(call, this.#inLine(work));
  }

  /** Runs `ask` in a session of its own, after everything asked for before it; or at once in the last one, if that is a session still running. */
  join<T>(begin: () => S, ask: (session: S) => Promise<T>, call?: string): Promise<T> {
    return this.#counted(
      call,
      new Promise<T>((resolve, reject) => {
        const enter = (session: S): void => void ask(session).then(resolve, reject);
        if (this.#last?.session) return enter(this.#last.session);
        if (this.#last) return void this.#last.early.push(enter);
        const own: Last<S> = { session: null, early: [enter] };
        this.#last = own;
        this.#inLine(() => this.#runSession(own, begin)).catch(reject);
      }),
    );
  }

  async #runSession(own: Last<S>, begin: () => S): Promise<void> {
    const session = begin();
    own.session = session;
    for (const enter of own.early.splice(0)) enter(session);
    do await session.run();
    while (session.busy);
    if (this.#last === own) this.#last = null;
  }

  #inLine<T>(work: () => Promise<T> | T): Promise<T> {
    const result = this.#end.then(work);
    this.#end = result.catch(() => {});
    return result;
  }

  async #counted<T>(call: string | undefined, result: Promise<T>): Promise<T> {
    if (call !== undefined) this.#running.set(call, (this.#running.get(call) ?? 0) + 1);
    try {
      return await result;
    } catch (error) {
      // Where a call failed because its device is gone, that is told first.
      await nextTurn();
      throw readable(error);
    } finally {
      if (call !== undefined) this.#forget(call);
    }
  }

  /** Ends calls that run or wait under this id; one that is over or unknown is left alone. */
  cancel(call: string): void {
    if (this.#running.has(call)) this.#cancelled.add(call);
  }

  cancelled(call: string | undefined): boolean {
    return call !== undefined && this.#cancelled.has(call);
  }

  #forget(call: string): void {
    const left = this.#running.get(call)! - 1;
    if (left > 0) return void this.#running.set(call, left);
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
