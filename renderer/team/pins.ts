/**
 * Results that stand for nodes: which nodes can have one, what each gave in a run, and how pins follow their nodes. A node is
 * named from the outside in, as in traces.
 */
import type { Pinned } from '../../workflows/run/pinned.ts';
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';
import type { Values } from '../../workflows/schema/value.ts';
import type { Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import { nodeAt, type Moved } from './paths.ts';

const kinds: readonly TraceRecord['kind'][] = ['role', 'tool', 'router', 'compute', 'team'];

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

/** Pins whose nodes are still there. */
export function pinsIn(workflow: Workflow, pins: Pinned): Pinned {
  const kept = Object.entries(pins).filter(([path]) => {
    const node = nodeAt(workflow, path);
    return node !== undefined && pinnable(node);
  });
  return kept.length === Object.keys(pins).length ? pins : Object.fromEntries(kept);
}

export function movedPins(pins: Pinned, moved: Moved): Pinned {
  return Object.fromEntries(Object.entries(pins).map(([path, result]) => [moved(path), result]));
}

/** What stands for the nodes of one drawing, by node: a result of its own, or for a group that some node in it has one. */
export function pinsWithin(pins: Pinned, prefix: string): Readonly<Record<string, 'own' | 'inner'>> {
  const found: Record<string, 'own' | 'inner'> = {};
  for (const path of Object.keys(pins)) {
    if (!path.startsWith(prefix)) continue;
    const [node, inner] = path.slice(prefix.length).split('.');
    found[node] = inner === undefined ? 'own' : (found[node] ?? 'inner');
  }
  return found;
}
