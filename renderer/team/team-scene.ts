/** A workflow as a scene: cards with named ports, wires from port to port, the person's own places where there are any. */
import type { Cast } from '../../workflows/schema/cast.ts';
import type { RewardRule } from '../../workflows/schema/reward.ts';
import type { Edge, Parser, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import type { Scene, SceneCard } from '../graph/scene.ts';
import { words } from '../words.ts';
import { growing } from './port-edits.ts';
import { portsOf, type NodePorts } from './ports.ts';

export type TeamCard = SceneCard & {
  readonly node: WorkflowNode;
  readonly title: string;
  readonly detail: string;
  readonly ports: NodePorts;
  readonly role: string | null;
  readonly policy: string | null;
};

export const HEAD = 46;
export const PORT = 22;
const FOOT = 8;
const POLICY = 24;

export function titleOf(workflow: Workflow, node: WorkflowNode): string {
  if (node.title) return node.title;
  if (node.kind === 'role') return workflow.roles[node.role]?.title || node.role;
  return node.kind === 'tool' ? node.tool : node.id;
}

/** An output format in one line. */
export function formatOf(parser: Parser): string {
  switch (parser.kind) {
    case 'tags':
    case 'workflow':
      return words.team.parser.tags(parser.tag);
    case 'fields':
      return parser.fields.map(({ tag }) => words.team.parser.tags(tag)).join(parser.choose === 'one' ? ' | ' : ' ');
    case 'steps':
      return words.team.parser.steps(parser.final);
    case 'text':
      return words.team.parser.text;
    default:
      return parser satisfies never;
  }
}

/** What a reward's rule measures, in one line. */
export function measureOf({ value }: RewardRule): string {
  const text = words.team.rewards;
  switch (value.kind) {
    case 'score':
      return text.score(value.metric);
    case 'own':
      return text.own(value.metric);
    case 'last':
    case 'change': {
      const of = `${'role' in value.of ? value.of.role : value.of.node}.${value.of.port}`;
      return text[value.kind](value.metric, of);
    }
    case 'cure':
      return text.cure(value.side);
    case 'cel':
      return value.expression;
    case 'javascript':
      return value.source;
    default:
      return value satisfies never;
  }
}

function detailOf(workflow: Workflow, node: WorkflowNode): string {
  switch (node.kind) {
    case 'role': {
      const parser = workflow.roles[node.role]?.parser;
      if (!parser) return '';
      const often = node.samples === undefined ? '' : `${node.samples} × `;
      const count = parser.kind === 'tags' && parser.max > 1 ? ` ${parser.min}–${parser.max}` : '';
      return `${often}${formatOf(parser)}${count}`;
    }
    case 'tool':
      return Object.entries(node.settings)
        .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
        .join(' · ');
    case 'loop':
      return `${words.team.node.limit.toLowerCase()} ${node.limit}`;
    case 'compute':
      return node.expression;
    case 'router':
      return node.branches.map((branch) => branch.name).join(' · ');
    case 'memory':
      return node.write.map(({ field, how }) => (how === 'append' ? `${field} +` : field)).join(' · ');
    case 'workflow':
      return workflow.workflows?.[node.workflow]?.title || node.workflow;
    case 'team':
      return `${node.writer} → ${node.player}`;
    case 'input':
    case 'output':
      return '';
    default:
      return node satisfies never;
  }
}

/** Height of a port's middle from the top of its card. */
export function portY(at: number): number {
  return HEAD + PORT * at + PORT / 2;
}

function cardOf(workflow: Workflow, cast: Cast | null, node: WorkflowNode): TeamCard {
  const ports = portsOf(workflow, node);
  const grows = growing(node);
  // One row more for the port a wire may grow.
  const [ins, outs] = [
    ports.inputs.length + (grows === 'in' ? 1 : 0),
    ports.outputs.length + (grows === 'out' ? 1 : 0),
  ];
  const rows = Math.max(1, ins, outs);
  const role = node.kind === 'role' ? node.role : null;
  const policy = role ? (cast?.roles[role] ?? null) : null;
  const title = titleOf(workflow, node);
  return {
    id: node.id,
    node,
    title,
    detail: detailOf(workflow, node),
    ports,
    role,
    policy,
    width: node.kind === 'input' || node.kind === 'output' ? 112 : node.kind === 'role' ? 184 : 164,
    height: HEAD + rows * PORT + FOOT + (role ? POLICY : 0),
    label: `${words.team.kinds[node.kind]} ${title}`,
  };
}

export function wireId({ from, to }: Edge): string {
  return `${from.node}.${from.port}>${to.node}.${to.port}`;
}

export function teamScene(workflow: Workflow, cast: Cast | null): Scene<TeamCard> {
  const cards = workflow.nodes.map((node) => cardOf(workflow, cast, node));
  const byId = new Map(cards.map((card) => [card.id, card]));
  return {
    cards,
    wires: workflow.edges.map((edge) => ({
      id: wireId(edge),
      from: edge.from.node,
      to: edge.to.node,
      fromY: yOf(byId.get(edge.from.node)?.ports.outputs, edge.from.port),
      toY: yOf(byId.get(edge.to.node)?.ports.inputs, edge.to.port),
    })),
    places: workflow.layout,
  };
}

function yOf(ports: readonly { name: string }[] | undefined, name: string): number | undefined {
  const at = ports?.findIndex((port) => port.name === name) ?? -1;
  return at < 0 ? undefined : portY(at);
}

/** `{{references}}` of a role's prompt that are no input of the node. */
export function unknownReferences(template: string, inputs: readonly string[]): string[] {
  const names = [...template.matchAll(/\{\{\s*([\w-]+)[^}]*\}\}/g)].map((found) => found[1]);
  return [...new Set(names)].filter((name) => !inputs.includes(name));
}
