/**
 * Visits of a walk's roles: each asks a model once, or once for every sample and item, and is over when the last of its calls is
 * answered. Knows what waits for a model, and nothing of the way through the graph.
 */
import type { Generation } from '../../engine/protocol.ts';
import type { TraceRecord } from '../schema/trace.ts';
import { asksOften, callInputs } from './calls.ts';
import { whole, type Gathered } from './edges.ts';
import type { GraphNode } from './graph.ts';
import { newRecord } from './new-record.ts';
import { callOf, takeAnswer, type Pending, type RoleNode } from './role-call.ts';
import { giveBack } from './team.ts';
import type { WalkOptions } from './walk-options.ts';

export class RoleVisits {
  /** Calls that wait for a model. */
  pending: readonly Pending[] = [];
  private readonly options: WalkOptions;
  /** Ids of the records that models were called for, in order; shared with the teams written inside the walk. */
  private readonly called: string[];
  /** Records of each visit that is not over, by node. */
  private readonly open = new Map<string, readonly TraceRecord[]>();

  constructor(options: WalkOptions, called: string[]) {
    this.options = options;
    this.called = called;
  }

  isOpen(node: string): boolean {
    return this.open.has(node);
  }

  /** Queues the calls of visit `turn`; false when there are none, for an empty list. */
  begin(node: GraphNode, role: RoleNode, gathered: Gathered, turn: number): boolean {
    const records = asksOften(role)
      ? callInputs(role, gathered).map((call, index) => newRecord(this.options, node, call, turn, index))
      : [newRecord(this.options, node, whole(gathered), turn)];
    if (records.length === 0) return false;
    this.open.set(role.id, records);
    const calls = records.map((record) => callOf(this.options, node, role, record, this.called.push(record.id) - 1));
    this.pending = [...this.pending, ...calls];
    return true;
  }

  /** Takes the answer to one call; with the last of its visit gives all the visit's records, else null. */
  answer(pending: Pending, generation: Generation): readonly TraceRecord[] | null {
    this.pending = this.pending.filter((each) => each !== pending);
    giveBack(this.options.inside, pending.request, generation);
    takeAnswer(pending, generation);
    const { id } = pending.node.node;
    const records = this.open.get(id)!;
    if (records.some((each) => each.text === undefined)) return null;
    this.open.delete(id);
    return records;
  }

  /** Nobody waits for an answer any more. */
  end(): void {
    this.pending = [];
  }
}
