/**
 * Results that stand for nodes: which nodes can have one, and what each gave in a run. Pins belong to this machine and not to the workflow: what trains runs whole.
 */
import { pinnedSchema, type Pinned } from '../../workflows/run/pinned.ts';
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';
import type { Values } from '../../workflows/schema/value.ts';
import type { WorkflowNode } from '../../workflows/schema/workflow.ts';
import { recall, remember } from '../app/remember.ts';

const kinds: readonly TraceRecord['kind'][] = ['role', 'tool', 'router', 'compute', 'team'];
/** Longest result kept over a restart, characters. */
const REMEMBERED = 500_000;

export function pinnable(node: WorkflowNode): boolean {
  return kinds.some((kind) => kind === node.kind);
}

/** What each node gave at its last visit; the lists of them where it made several records. */
export function resultsOf({ records }: Pick<Trace, 'records'>): Pinned {
  const own = records.filter(({ kind }) => kinds.includes(kind));
  return Object.fromEntries([...new Set(own.map(({ node }) => node))].map((node) => [node, resultOf(own, node)]));
}

function resultOf(records: readonly TraceRecord[], node: string): Values {
  const own = records.filter((record) => record.node === node);
  const last = own[own.length - 1];
  if (last.index === undefined) return last.outputs as Values;
  const visit = own.filter(({ turn }) => turn === last.turn).sort((a, b) => a.index! - b.index!);
  return Object.fromEntries(
    Object.keys(last.outputs).map((port) => [port, visit.map(({ outputs }) => outputs[port])]),
  ) as Values;
}

export function pinsOf(team: string): Pinned {
  return recall(`pins.${team}`, (value): value is Pinned => pinnedSchema.safeParse(value).success) ?? {};
}

export function rememberPins(team: string, pins: Pinned): void {
  const small = JSON.stringify(pins).length <= REMEMBERED;
  remember(`pins.${team}`, small && Object.keys(pins).length > 0 ? pins : null);
}
