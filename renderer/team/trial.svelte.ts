/**
 * One question put to the team that is on the screen: what each node says while it runs, the trace when it is done, and the
 * results that are pinned in place of nodes.
 */
import { SvelteMap } from 'svelte/reactivity';
import type { Pinned } from '../../workflows/run/pinned.ts';
import type { Cast } from '../../workflows/schema/cast.ts';
import type { Trace } from '../../workflows/schema/trace.ts';
import type { Values } from '../../workflows/schema/value.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import type { Session } from '../app/session.svelte.ts';
import { forRun, modelOf } from './cast-board.ts';
import { resultsOf } from './pins.ts';
import { wentIn, type Went } from './went.ts';
import type { TeamDoc } from './team-doc.svelte.ts';

/** `run`: "RUN", its newest weights, "RUN@STEP", those of a checkpoint, or empty for untrained ones. */
export type Question = {
  readonly question: string;
  readonly task: string;
  readonly run: string;
  /** Whether its tools may read the web. */
  readonly web: boolean;
};

/** Longest text shown on a card. */
const SHOWN = 400;

export class Trial {
  question = $state.raw<Question | null>(null);
  running = $state(false);
  trace = $state.raw<Trace | null>(null);
  /** What each node said, by its path. */
  readonly said = new SvelteMap<string, string>();
  /** What became of each node in the question asked last, by its path. */
  readonly went = new SvelteMap<string, Went>();
  /** What each node gave when it last ran for this question. */
  known = $state.raw<Pinned>({});
  readonly #session: Session;
  readonly #doc: TeamDoc;
  #asked = 0;

  constructor(session: Session, doc: TeamDoc) {
    this.#session = session;
    this.#doc = doc;
  }

  /** Results that stand for nodes of the team: a part of its document, so that undo brings them back. */
  get pins(): Pinned {
    return this.#doc.pins;
  }

  pin(node: string, result: Values): void {
    this.#doc.change({ pins: { ...this.pins, [node]: result } }, '');
  }

  unpin(node: string): void {
    this.#doc.change({ pins: Object.fromEntries(Object.entries(this.pins).filter(([one]) => one !== node)) }, '');
  }

  /** Pins what a node gave last, or takes its pin out. */
  toggle(node: string): void {
    if (this.pins[node]) this.unpin(node);
    else if (this.known[node]) this.pin(node, this.known[node] as Values);
  }

  /** Listens to the engine; returns the way to stop. */
  listen(): () => void {
    return this.#session.onText(({ record, text, state }) => {
      if (!this.running) return;
      const node = nodeOfRecord(record);
      if (state) this.#moved(node, state);
      else this.said.set(node, `${this.said.get(node) ?? ''}${text}`.slice(-SHOWN));
    });
  }

  #moved(node: string, state: 'asked' | 'done'): void {
    const before = this.went.get(node);
    const times = (before?.times ?? 0) + (state === 'done' ? 1 : 0);
    // What a node says on its next visit is another text.
    if (state === 'asked' && before?.state !== 'asked') this.said.delete(node);
    this.went.set(node, { state, times });
  }

  /** `given`: what nodes give that are not to run, beside those pinned. */
  async ask(workflow: string | Workflow, cast: Cast, asked: Question, given: Pinned = {}): Promise<void> {
    if (asked.question !== this.question?.question) this.known = {};
    this.question = asked;
    this.trace = null;
    this.said.clear();
    this.went.clear();
    this.running = true;
    const { question, task, web } = asked;
    const [run, step] = asked.run.split('@');
    const model = modelOf(forRun(cast));
    const seed = (this.#asked += 1);
    const pinned = { ...given, ...this.pins };
    const trace = await this.#session.attempt((api) =>
      api.runQuestion({
        workflow,
        cast: forRun(cast),
        model,
        task,
        question,
        seed,
        ...(web ? { web } : {}),
        ...(Object.keys(pinned).length > 0 ? { pinned } : {}),
        ...(run ? { run } : {}),
        ...(step === undefined ? {} : { step: Number(step) }),
      }),
    );
    this.running = false;
    this.went.clear();
    if (!trace) return void (this.question = null);
    this.#session.keepSingle(trace);
    this.trace = trace;
    this.known = { ...this.known, ...resultsOf(trace) };
    for (const [node, went] of wentIn(trace)) this.went.set(node, went);
    // What was streamed may lack what a tool gave or a service said at once.
    for (const record of trace.records)
      if (record.text !== undefined) this.said.set(record.node, record.text.slice(0, SHOWN));
  }

  stop(): void {
    if (this.running) void this.#session.attempt((api) => api.stopAnswer());
  }

  clear(): void {
    this.stop();
    this.question = null;
    this.trace = null;
    this.known = {};
    this.said.clear();
    this.went.clear();
  }
}

/** "<trace>/<node>#<visit>" as the engine names its calls. */
export function nodeOfRecord(record: string): string {
  return record.slice(record.lastIndexOf('/') + 1).split('#')[0];
}
