/**
 * What the edges of a walk carry, and what a node's ports read of it. An edge without a value whose source is settled is dead;
 * a port with nothing but dead edges is dead too.
 */
import type { CallInputs } from './calls.ts';
import { joined, type Carried } from './carry.ts';
import type { Graph, GraphNode } from './graph.ts';

/** The values of a node's ports by name, in port order. */
export type Gathered = ReadonlyMap<string, Carried>;

export class Edges {
  private readonly graph: Graph;
  /** By the edge's place in the graph. */
  private readonly carried = new Map<number, Carried>();

  constructor(graph: Graph) {
    this.graph = graph;
  }

  put(node: GraphNode, values: Readonly<Record<string, Carried>>): void {
    for (const [port, carried] of Object.entries(values))
      for (const edge of node.outgoing[port] ?? []) this.carried.set(edge, carried);
  }

  read(node: GraphNode, portName: string): Carried | null {
    const port = node.inputs.find((each) => each.name === portName)!;
    const found = (node.incoming[portName] ?? []).map((edge) => this.carried.get(edge));
    return joined(
      port,
      found.filter((each) => each !== undefined),
    );
  }

  /** The values of a node's ports, or null when a port it needs is dead. */
  gather(node: GraphNode): Gathered | null {
    const gathered = new Map<string, Carried>();
    let connected = 0;
    for (const port of node.inputs) {
      if (node.incoming[port.name] === undefined) continue;
      connected += 1;
      const read = this.read(node, port.name);
      if (read === null && !port.optional) return null;
      if (read !== null) gathered.set(port.name, read);
    }
    return connected > 0 && gathered.size === 0 ? null : gathered;
  }

  /** Forgets what edges between some nodes carry, before a loop's body is taken again. */
  clear(which: (from: string, to: string) => boolean): void {
    for (const index of [...this.carried.keys()]) {
      const { from, to } = this.graph.edges[index];
      if (which(from.node, to.node)) this.carried.delete(index);
    }
  }
}

/** All ports as one call reads them. */
export function whole(gathered: Gathered): CallInputs {
  return {
    values: Object.fromEntries([...gathered].map(([name, { value }]) => [name, value])),
    parents: [...gathered.values()].flatMap(({ records }) => records),
  };
}
