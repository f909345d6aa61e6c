/**
 * A trace run once more with one thing changed. A call that is asked what it was asked then gives what it gave then; the
 * changed record, and every call whose prompt comes out different because of it, is run anew. So a fork costs what follows
 * from the change and nothing else.
 */
import { UserError } from '../../engine/errors.ts';
import type { Generation } from '../../engine/protocol.ts';
import type { ForkChange, Trace, TraceRecord } from '../schema/trace.ts';
import type { Values } from '../schema/value.ts';

export class Replay {
  readonly parent: Trace;
  readonly record: string;
  readonly change: ForkChange;
  private readonly before: ReadonlyMap<string, TraceRecord>;

  /** Throws a UserError for a record that is not there or cannot be changed like this. */
  constructor(parent: Trace, record: string, change: ForkChange) {
    this.parent = parent;
    this.record = record;
    this.change = change;
    this.before = new Map(parent.records.map((each) => [each.id, each]));
    const changed = this.before.get(record);
    if (changed === undefined)
      throw new UserError(`No such record in the trace: ${record}; open the trace to see them`);
    const fits = change.kind === 'outputs' ? changed.kind === 'tool' : changed.kind === 'role';
    if (!fits)
      throw new UserError(
        `A ${changed.kind} cannot be forked by its ${change.kind}: ${record}; fork a role by its text, prompt or seed, and a tool by its outputs`,
      );
  }

  /** What a role's call is asked; `record` holds what it would be asked. */
  prompt(record: TraceRecord): TraceRecord['prompt'] {
    return record.id === this.record && this.change.kind === 'prompt' ? this.change.prompt : record.prompt;
  }

  /** Whether a call is made for the sake of another draw, so that it must not be greedy. */
  redraws(record: TraceRecord): boolean {
    return record.id === this.record && this.change.kind === 'seed';
  }

  /** What a call draws with: the fork's own seed, or what it drew with then. */
  seed(record: TraceRecord): number | undefined {
    if (record.id === this.record && this.change.kind === 'seed') return this.change.seed;
    return this.before.get(record.id)?.seed ?? record.seed;
  }

  /** What a tool gives in place of its result, or null where it is to run. */
  outputs(record: TraceRecord): Values | null {
    return record.id === this.record && this.change.kind === 'outputs' ? (this.change.outputs as Values) : null;
  }

  /** What a call gives without asking anyone, or null. `record` holds its prompt. */
  answer(record: TraceRecord): Generation | null {
    const then = this.before.get(record.id);
    if (record.id === this.record) {
      if (this.change.kind !== 'text') return null;
      return { ...empty(record), promptIds: then?.tokens?.promptIds ?? [], text: this.change.text, finish: 'stop' };
    }
    if (then?.text === undefined || JSON.stringify(then.prompt) !== JSON.stringify(record.prompt)) return null;
    const { tokens } = then;
    return {
      ...empty(record),
      ...(tokens ? { promptIds: tokens.promptIds, ids: tokens.ids, pieces: tokens.pieces } : {}),
      ...(tokens ? { logprobs: tokens.logprobs, entropy: tokens.entropy } : {}),
      text: then.text,
      finish: (then.finish ?? 'stop') as Generation['finish'],
    };
  }
}

function empty({ id }: TraceRecord): Generation {
  return { record: id, promptIds: [], ids: [], pieces: [], text: '', logprobs: [], entropy: [], finish: 'stop' };
}
