/** The ports of a node as the runner has them; for a node it would refuse (an unknown role or tool), those its wires use. */
import { portsOf as runnerPorts } from '../../workflows/run/graph.ts';
import type { PortType, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';

export type NamedPort = { readonly name: string; readonly type: PortType | null };
export type NodePorts = { readonly inputs: readonly NamedPort[]; readonly outputs: readonly NamedPort[] };

function wired(workflow: Workflow, node: string, side: 'from' | 'to'): NamedPort[] {
  const names = workflow.edges.filter((edge) => edge[side].node === node).map((edge) => edge[side].port);
  return [...new Set(names)].map((name) => ({ name, type: null }));
}

export function portsOf(workflow: Workflow, node: WorkflowNode): NodePorts {
  try {
    return runnerPorts(workflow, node);
  } catch {
    return { inputs: wired(workflow, node.id, 'to'), outputs: wired(workflow, node.id, 'from') };
  }
}
