/**
 * What a person can add: every kind of node the schema has, the tools by name, roles that are there already, and the file's
 * sub-workflows. A choice makes the node with all it needs (a role, a field of the memory), and where it was asked for by a
 * wire dropped on empty canvas, with a port of the wire's type and the wire drawn.
 */
import type { Edge, Parser, Port, PortType, Role, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import { nodeSchema, roleSchema } from '../../workflows/schema/workflow.ts';
import { tools } from '../../workflows/tools/index.ts';
import { words } from '../words.ts';
import { disconnect } from './edits.ts';
import { freeName, slug } from './names.ts';
import { addNote } from './notes.ts';
import { portsOf } from './ports.ts';
import { join, landing, typeOf, type PortRef } from './wires.ts';

export type Choice = { readonly id: string; readonly label: string; readonly detail: string };
export type Made = { readonly workflow: Workflow; readonly id: string };
/** The end of a wire that waits for the new node: what it is called, its type, and its side. */
type Waiting = { readonly name: string; readonly type: PortType; readonly side: 'in' | 'out' };
type Draft = { readonly workflow: Workflow; readonly node: WorkflowNode };

function port(name: string, type: PortType = 'text', optional = false): Port {
  return { name, type, optional };
}

/** What the waiting wire brings or wants, or the usual. */
function brought(wire: Waiting | null, usual: Port): Port {
  return wire?.side === 'out' ? port(slug(wire.name, usual.name), wire.type) : usual;
}
function wanted(wire: Waiting | null, usual: Port): Port {
  return wire?.side === 'in' ? port(slug(wire.name, usual.name), wire.type) : usual;
}

/** Checked by the schema, which also fills in what every node has. */
function made(workflow: Workflow, base: string, fields: Record<string, unknown>): Draft {
  const taken = workflow.nodes.map((node) => node.id);
  return { workflow, node: nodeSchema.parse({ id: freeName(slug(base, 'node'), taken), ...fields }) };
}

/** An output format whose value has the type; null where no format has. */
function parserFor(type: PortType, name: string): Parser | null {
  if (type === 'text' || type === 'json') return { kind: 'text', port: name, maxChars: 2_000 };
  if (type === 'list')
    return { kind: 'tags', tag: 'item', port: name, min: 1, max: 3, unique: true, strict: true, maxChars: 2_000 };
  if (type !== 'steps') return null;
  return {
    kind: 'steps',
    port: name,
    answer: freeName('answer', [name]),
    final: 'final_answer',
    max: 5,
    maxChars: 2_000,
  };
}

function newRole(workflow: Workflow, wire: Waiting | null): Draft | null {
  const out = wanted(wire, port('answer'));
  const parser = parserFor(out.type, out.name);
  if (parser === null) return null;
  const inputs = wire?.side === 'out' ? [brought(wire, port('question'))] : [];
  const id = freeName('role', Object.keys(workflow.roles));
  const number = id === 'role' ? '' : ` ${id.slice('role-'.length)}`;
  const role: Role = roleSchema.parse({
    title: `${words.team.kinds.role}${number}`,
    prompt: { user: inputs.map(({ name }) => `{{${name}}}`).join('\n') },
    parser,
  });
  return made({ ...workflow, roles: { ...workflow.roles, [id]: role } }, id, { kind: 'role', role: id, inputs });
}

function existingRole(workflow: Workflow, role: string): Draft {
  const player = workflow.nodes.find((node) => node.kind === 'role' && node.role === role);
  const inputs = player?.kind === 'role' ? player.inputs : [];
  return made(workflow, role, { kind: 'role', role, inputs });
}

/** An expression that is of the type whatever comes in. */
const constants: Readonly<Record<PortType, string>> = {
  text: '""',
  list: '[]',
  passages: '[]',
  steps: '[]',
  number: '0.0',
  flag: 'false',
  json: 'null',
};

function newCompute(workflow: Workflow, wire: Waiting | null): Draft {
  const input = brought(wire, port('value', wire?.type ?? 'text'));
  const output = wanted(wire, port('result', input.type));
  const expression = output.type === input.type ? input.name.replaceAll('-', '_') : constants[output.type];
  // CEL reads a dash as minus, so the port is named without one.
  const named = { ...input, name: input.name.replaceAll('-', '_') };
  return made(workflow, 'compute', { kind: 'compute', inputs: [named], output, expression });
}

function newJoin(workflow: Workflow, wire: Waiting | null): Draft | null {
  const type = wire?.type ?? 'list';
  if (type !== 'list' && type !== 'passages' && type !== 'steps') return null;
  const inputs = [port('first', type), port('second', type)];
  return made(workflow, 'join', {
    kind: 'compute',
    title: words.team.add.join,
    inputs,
    output: port('joined', type),
    expression: 'first + second',
  });
}

function newMemory(workflow: Workflow, wire: Waiting | null): Draft {
  const fields = workflow.memory ?? {};
  const type = wire?.type ?? 'list';
  const fitting = Object.keys(fields).find((name) => fields[name].type === type);
  const field = fitting ?? freeName(slug(wire?.name ?? 'notes', 'notes'), Object.keys(fields));
  const lists = ['list', 'passages', 'steps', 'json'].includes(type);
  return made({ ...workflow, memory: { ...fields, [field]: fields[field] ?? { type } } }, 'memory', {
    kind: 'memory',
    ...(wire?.side === 'in' ? { read: [field] } : { write: [{ field, how: lists ? 'append' : 'replace' }] }),
  });
}

/** A node that runs the team a role writes; there must be such a role. */
function newTeam(workflow: Workflow): Draft | null {
  const writer = Object.keys(workflow.roles).find((id) => workflow.roles[id].parser.kind === 'workflow');
  if (writer === undefined) return null;
  const player = Object.keys(workflow.roles).find((id) => id !== writer) ?? writer;
  return made(workflow, 'team', { kind: 'team', writer, player });
}

function draft(workflow: Workflow, choice: string, wire: Waiting | null): Draft | null {
  const [kind, name] = choice.split(':');
  const passing = wire?.type ?? 'text';
  switch (kind) {
    case 'input':
      if (wire?.side === 'out') return null;
      return made(workflow, 'question', {
        kind,
        title: words.team.add.question,
        outputs: [wanted(wire, port('question'))],
      });
    case 'role':
      return name === undefined ? newRole(workflow, wire) : existingRole(workflow, name);
    case 'tool':
      return made(workflow, name, { kind, tool: name, title: tools.find((tool) => tool.name === name)?.title ?? name });
    case 'router':
      return made(workflow, 'branch', {
        kind,
        title: words.team.add.branch,
        inputs: [
          { ...brought(wire, port('value', passing)), name: brought(wire, port('value')).name.replaceAll('-', '_') },
        ],
        branches: [{ name: 'yes', when: 'true' }],
        otherwise: 'no',
      });
    case 'loop':
      return made(workflow, 'loop', { kind, type: passing, limit: 3 });
    case 'compute':
      return newCompute(workflow, wire);
    case 'join':
      return newJoin(workflow, wire);
    case 'memory':
      return newMemory(workflow, wire);
    case 'workflow':
      return made(workflow, name, { kind, workflow: name, title: workflow.workflows?.[name]?.title ?? '' });
    case 'team':
      return newTeam(workflow);
    case 'output':
      if (wire?.side === 'in') return null;
      return made(workflow, 'result', {
        kind,
        title: words.team.add.result,
        inputs: [brought(wire, port('answer'))],
      });
    default:
      return null;
  }
}

/** Adds what was chosen, joined to the waiting wire; null when nothing of it fits that wire. */
export function addChoice(workflow: Workflow, choice: string, from: PortRef | null): Made | null {
  if (choice === 'note') return from ? null : addNote(workflow, { x: 0, y: 0 });
  const type = from && typeOf(workflow, from);
  if (from && !type) return null;
  const wire = from && type ? { name: from.port, type, side: from.side } : null;
  const drafted = draft(workflow, choice, wire);
  if (!drafted) return null;
  const next = { ...drafted.workflow, nodes: [...drafted.workflow.nodes, drafted.node] };
  const { id } = drafted.node;
  if (!from) return { workflow: next, id };
  const end = landing(next, from, id);
  const joined = end && join(next, from, end);
  return joined ? { workflow: joined, id } : null;
}

/** Puts what was chosen into a wire: it takes what came, and gives on. Null where nothing of it fits both ends. */
export function insertChoice(workflow: Workflow, choice: string, edge: Edge): Made | null {
  const { from, to } = edge;
  const made = addChoice(disconnect(workflow, edge), choice, { node: from.node, side: 'out', port: from.port });
  const node = made?.workflow.nodes.find((one) => one.id === made.id);
  if (!made || !node) return null;
  for (const { name } of portsOf(made.workflow, node).outputs) {
    const on = join(made.workflow, { node: made.id, side: 'out', port: name }, { ...to, side: 'in' });
    if (on) return { workflow: on, id: made.id };
  }
  return null;
}

/** What can be added here, in the order a team is usually drawn; with a wire, only what can take it. */
export function choices(workflow: Workflow, from: PortRef | null): Choice[] {
  const text = words.team.add;
  const all: Choice[] = [
    { id: 'input', label: words.team.kinds.input, detail: text.details.input },
    { id: 'role', label: words.team.kinds.role, detail: text.details.role },
    ...tools.map((tool) => ({ id: `tool:${tool.name}`, label: tool.title, detail: tool.description })),
    { id: 'router', label: text.branch, detail: text.details.router },
    { id: 'loop', label: words.team.kinds.loop, detail: text.details.loop },
    { id: 'join', label: text.join, detail: text.details.join },
    { id: 'compute', label: words.team.kinds.compute, detail: text.details.compute },
    { id: 'memory', label: words.team.kinds.memory, detail: text.details.memory },
    ...(newTeam(workflow) ? [{ id: 'team', label: words.team.kinds.team, detail: text.details.team }] : []),
    { id: 'output', label: words.team.kinds.output, detail: text.details.output },
    { id: 'note', label: words.team.note.name, detail: text.details.note },
    ...Object.entries(workflow.roles).map(([id, role]) => ({
      id: `role:${id}`,
      label: text.again(role.title || id),
      detail: text.details.again,
    })),
    ...Object.entries(workflow.workflows ?? {}).map(([id, part]) => ({
      id: `workflow:${id}`,
      label: part.title || id,
      detail: text.details.workflow,
    })),
  ];
  return from ? all.filter((choice) => addChoice(workflow, choice.id, from) !== null) : all;
}
