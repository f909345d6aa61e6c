/**
 * Nodes named from the outside in, as traces, rewards and pins name them: "group.inner". Knows which sub-workflow such a way
 * leads into, which ways lead to a sub-workflow, and carries names along when nodes are renamed, grouped or taken out of one.
 */
import type { Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';

/** What became of a node's name within the drawing where it stands. */
export type Moved = (path: string) => string;

/** Ways to one sub-workflow that are followed; a file may nest them without end. */
const MOST_WAYS = 500;

type Nodes = Pick<Workflow, 'nodes'>;

/** The sub-workflow that is open: the groups passed on the way, outermost first. */
export type Opened = { readonly node: string; readonly name: string; readonly title: string };

/** The groups a way leads through, as far as there are such. */
export function openedOn(workflow: Workflow, way: readonly string[]): Opened[] {
  const opened: Opened[] = [];
  let drawn: Nodes = workflow;
  for (const id of way) {
    const node = drawn.nodes.find((one) => one.id === id);
    const part = node?.kind === 'workflow' ? workflow.workflows?.[node.workflow] : undefined;
    if (node?.kind !== 'workflow' || !part) break;
    opened.push({ node: id, name: node.workflow, title: node.title || part.title || node.workflow });
    drawn = part;
  }
  return opened;
}

/** The node at the end of a way; undefined where there is none. */
export function nodeAt(workflow: Workflow, path: string): WorkflowNode | undefined {
  const way = path.split('.');
  const last = way.pop();
  const opened = openedOn(workflow, way);
  if (opened.length < way.length) return undefined;
  const drawn: Nodes = way.length === 0 ? workflow : (workflow.workflows?.[opened[way.length - 1].name] ?? workflow);
  return drawn.nodes.find((node) => node.id === last);
}

/** Every node with its path, outer ones first. */
export function pathsOf(workflow: Workflow): [string, WorkflowNode][] {
  const ways = Object.keys(workflow.workflows ?? {}).flatMap((name) =>
    waysTo(workflow, name).map((way) => [way, workflow.workflows?.[name].nodes ?? []] as const),
  );
  const inner = ways.sort(([a], [b]) => a.length - b.length);
  return [['', workflow.nodes] as const, ...inner].flatMap(([way, nodes]) =>
    nodes.map((node): [string, WorkflowNode] => [way + node.id, node]),
  );
}

/** Every way to a sub-workflow, as beginnings of paths: "" for the team itself, else "group." and the like. */
function waysTo(workflow: Workflow, name: string | null): string[] {
  if (name === null) return [''];
  const found: string[] = [];
  const walk = ({ nodes }: Nodes, way: string, within: readonly string[]): void => {
    for (const node of nodes) {
      if (node.kind !== 'workflow' || within.includes(node.workflow) || found.length >= MOST_WAYS) continue;
      const next = `${way}${node.id}.`;
      if (node.workflow === name) found.push(next);
      const part = workflow.workflows?.[node.workflow];
      if (part) walk(part, next, [...within, node.workflow]);
    }
  };
  walk(workflow, '', []);
  return found;
}

/** What `moved` does to names within a sub-workflow (null: the team itself), for names from the outside in. */
export function fromOutside(workflow: Workflow, name: string | null, moved: Moved): Moved {
  const ways = waysTo(workflow, name).sort((a, b) => b.length - a.length);
  return (path) => {
    const way = ways.find((one) => path.startsWith(one));
    return way === undefined ? path : way + moved(path.slice(way.length));
  };
}

/** Rewards whose series name their nodes anew. */
export function withSeries(workflow: Workflow, moved: Moved): Workflow {
  const before = JSON.stringify(workflow.rewards.rules);
  const rules = JSON.stringify(workflow.rewards.rules, (key, value: unknown) =>
    key === 'node' && typeof value === 'string' ? moved(value) : value,
  );
  if (rules === before) return workflow;
  return { ...workflow, rewards: { ...workflow.rewards, rules: JSON.parse(rules) as Workflow['rewards']['rules'] } };
}
