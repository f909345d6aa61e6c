/** A record as a node begins to run: its name in the trace, what it read, and nothing yet of what it gives. */
import type { TraceRecord } from '../schema/trace.ts';
import type { CallInputs } from './calls.ts';
import type { GraphNode } from './graph.ts';
import type { WalkOptions } from './walk-options.ts';

/** A written team's nodes stand under the node that runs it, as a sub-workflow's do. */
export function placed({ inside }: WalkOptions, id: string): string {
  return inside === undefined ? id : `${inside.node}.${id}`;
}

/** `index` is there where one visit makes several records. */
export function newRecord(
  options: WalkOptions,
  node: GraphNode,
  { values, parents }: CallInputs,
  turn: number,
  index?: number,
): TraceRecord {
  const { kind, title } = node.node;
  const id = placed(options, node.node.id);
  const label =
    title !== ''
      ? title
      : kind === 'role'
        ? options.graph.workflow.roles[node.node.kind === 'role' ? node.node.role : ''].title || id
        : id;
  return {
    id: index === undefined ? `${id}#${turn}` : `${id}#${turn}.${index}`,
    node: id,
    kind: kind as TraceRecord['kind'], // sub-workflows are in place before a walk begins
    title: label,
    turn,
    ...(index === undefined ? {} : { index }),
    parents: [...new Set(parents)],
    inputs: values,
    outputs: {},
    trainable: false,
    rewards: [],
  };
}
