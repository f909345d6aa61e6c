/**
 * Runs programs in sandboxes: each language has a few threads, each thread runs one program at a time, what does not fit
 * waits. A thread that overruns is ended from outside and replaced when the next program comes. Knows no language.
 */
import { Cancelled } from '../../../engine/errors.ts';
import { sandboxHost, type SandboxThread } from './hosts.ts';
import {
  failed,
  refusal,
  timedOut,
  type Language,
  type ProgramRequest,
  type ProgramResult,
  type Reply,
} from './program.ts';
import type { FromThread } from './serve.ts';

/** A program that is asked to stop has this long to do so before its thread is ended. */
const graceMs = 100;
/** Loading a language takes 0.1 s (JavaScript) to 3 s (Python) on a small machine; a busy one gets far more. */
const loadLimitMs = 240_000;
const threadsMax = 4;

type Job = {
  readonly request: ProgramRequest;
  readonly signal: AbortSignal | undefined;
  settle(result: ProgramResult): void;
  fail(error: unknown): void;
};

/**
 * Runs one program. A program that fails, or breaks a limit, is a result, not an error. Throws Cancelled when `signal`
 * aborts, and an Error when the sandbox itself does not start.
 */
export function runProgram(language: Language, request: ProgramRequest, signal?: AbortSignal): Promise<ProgramResult> {
  const refused = refusal(request);
  if (refused !== null) return Promise.resolve({ ok: false, output: '', error: refused, ms: 0 });
  const queue = queueOf(language);
  return new Promise((settle, fail) => {
    queue.waiting.push({ request, signal, settle, fail });
    pump(queue);
  });
}

type Queue = {
  readonly start: () => SandboxThread;
  readonly size: number;
  readonly waiting: Job[];
  readonly idle: Set<Sandbox>;
  busy: number;
};

const queues = new Map<Language, Queue>();

function queueOf(language: Language): Queue {
  let queue = queues.get(language);
  if (queue === undefined) {
    const { start, cores } = sandboxHost();
    const size = Math.max(1, Math.min(threadsMax, cores - 1));
    queue = { start: start[language], size, waiting: [], idle: new Set(), busy: 0 };
    queues.set(language, queue);
  }
  return queue;
}

function pump(queue: Queue): void {
  while (queue.waiting.length > 0 && queue.busy < queue.size) {
    const job = queue.waiting.shift()!;
    if (job.signal?.aborted === true) {
      job.fail(new Cancelled('The program'));
      continue;
    }
    queue.busy += 1;
    void work(queue, job);
  }
}

async function work(queue: Queue, job: Job): Promise<void> {
  const [idle] = queue.idle;
  const sandbox = idle ?? new Sandbox(queue.start());
  queue.idle.delete(sandbox);
  try {
    job.settle(await sandbox.run(job.request, job.signal));
  } catch (error) {
    job.fail(error);
  }
  queue.busy -= 1;
  if (sandbox.alive) queue.idle.add(sandbox);
  pump(queue);
}

/** One thread and what it is doing. */
class Sandbox {
  alive = true;
  private readonly thread: SandboxThread;
  private readonly ready: Promise<SharedArrayBuffer | null>;
  private onReady: ((interrupt: SharedArrayBuffer | null) => void) | null = null;
  private onReply: ((reply: Reply, ms: number) => void) | null = null;
  private onBroken: ((error: Error) => void) | null = null;

  constructor(thread: SandboxThread) {
    this.thread = thread;
    this.ready = new Promise((settle, fail) => {
      this.onReady = settle;
      this.onBroken = fail;
    });
    this.ready.catch(() => undefined); // whoever runs a program sees it too
    thread.listen(
      (message) => this.receive(message as FromThread),
      (reason) => this.broke(reason),
    );
  }

  /** Ends the thread where it overruns, breaks or is not `reusable`. */
  async run(request: ProgramRequest, signal?: AbortSignal): Promise<ProgramResult> {
    this.thread.hold(true);
    const timers: ReturnType<typeof setTimeout>[] = [];
    let cancel = (): void => undefined;
    const stop = new Promise<never>((_, fail) => {
      cancel = () => fail(new Cancelled('The program'));
      timers.push(setTimeout(() => fail(new Error('the sandbox did not start')), loadLimitMs));
    });
    signal?.addEventListener('abort', cancel);
    stop.catch(() => undefined);
    try {
      const interrupt = await Promise.race([this.ready, stop]);
      clearTimeout(timers[0]);
      return await Promise.race([this.timed(request, interrupt, timers), stop]);
    } catch (error) {
      this.end();
      throw error;
    } finally {
      timers.forEach(clearTimeout);
      signal?.removeEventListener('abort', cancel);
      if (this.alive) this.thread.hold(false);
    }
  }

  private async timed(
    request: ProgramRequest,
    interrupt: SharedArrayBuffer | null,
    timers: ReturnType<typeof setTimeout>[],
  ): Promise<ProgramResult> {
    const { limits } = request;
    const flag = interrupt === null ? null : new Uint8Array(interrupt);
    if (flag !== null) flag[0] = 0;
    const started = performance.now();
    let late = false;
    // What was answered while this thread was busy with something else is taken before the time is found to be over.
    const after = (ms: number, work: () => void): void =>
      void timers.push(setTimeout(() => timers.push(setTimeout(work, 0)), ms));
    const overdue = new Promise<null>((settle) => {
      after(limits.timeMs, () => {
        late = true;
        if (flag !== null) flag[0] = 2; // SIGINT
      });
      after(limits.timeMs + graceMs, () => settle(null));
    });
    let ms: number | null = null;
    const answered = new Promise<Reply>((settle) => {
      this.onReply = (reply, took) => {
        ms = took;
        settle(reply);
      };
      this.onBroken = (error) => settle(failed('', error.message, false));
    });
    this.thread.post(request);
    const reply = await Promise.race([answered, overdue]);
    const took = Math.round(ms ?? performance.now() - started);
    if (reply === null || !reply.reusable) this.end();
    if (reply === null || late) return { ok: false, output: reply?.output ?? '', error: timedOut(limits), ms: took };
    return { ok: reply.ok, output: reply.output, error: reply.error, ms: took };
  }

  private receive(message: FromThread): void {
    if (!this.alive) return;
    if (message.kind === 'ready') this.onReady?.(message.interrupt);
    else if (message.kind === 'done') this.onReply?.(message.reply, message.ms);
    else this.broke(message.reason);
  }

  private broke(reason: string): void {
    this.end();
    this.onBroken?.(new Error(`the sandbox broke: ${reason.slice(0, 500)}`));
  }

  private end(): void {
    if (!this.alive) return;
    this.alive = false;
    this.thread.terminate();
  }
}
