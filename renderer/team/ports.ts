/** The ports of a node, in order. Tools have theirs from the wires that use them; everything else states its own. */
import type { PortType, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';

export type NamedPort = { readonly name: string; readonly type: PortType | null };
export type NodePorts = { readonly inputs: readonly NamedPort[]; readonly outputs: readonly NamedPort[] };

function wired(workflow: Workflow, node: string, side: 'from' | 'to'): NamedPort[] {
  const names = workflow.edges.filter((edge) => edge[side].node === node).map((edge) => edge[side].port);
  return [...new Set(names)].map((name) => ({ name, type: null }));
}

function outputsOfRole(workflow: Workflow, role: string): NamedPort[] {
  const parser = workflow.roles[role]?.parser;
  if (!parser) return [];
  return [{ name: parser.port, type: parser.kind === 'tags' && parser.max > 1 ? 'list' : 'text' }];
}

export function portsOf(workflow: Workflow, node: WorkflowNode): NodePorts {
  switch (node.kind) {
    case 'input':
      return { inputs: [], outputs: node.outputs };
    case 'output':
      return { inputs: node.inputs, outputs: [] };
    case 'role':
      return { inputs: node.inputs, outputs: outputsOfRole(workflow, node.role) };
    case 'tool':
      return { inputs: wired(workflow, node.id, 'to'), outputs: wired(workflow, node.id, 'from') };
    case 'compute':
      return { inputs: node.inputs, outputs: [node.output] };
    case 'router':
      return { inputs: node.inputs, outputs: wired(workflow, node.id, 'from') };
    case 'loop':
      return { inputs: ['in', 'again'].map((name) => ({ name, type: node.type })), outputs: ['body', 'done'].map((name) => ({ name, type: node.type })) };
    default:
      return node satisfies never;
  }
}
