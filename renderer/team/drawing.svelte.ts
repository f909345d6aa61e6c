/**
 * What a person does on the canvas and in the outline: what is selected, the wire being pulled, the menu that asks what to
 * add or where to connect. Each gesture ends in one step of the document. The same moves serve mouse and keyboard.
 */
import type { Edge, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import { sentence, type Session } from '../app/session.svelte.ts';
import type { Point } from '../graph/scene.ts';
import { words } from '../words.ts';
import { renameSeat } from './cast-board.ts';
import { copied, looksCopied, pasted } from './clipboard.ts';
import { disconnect, move, nodeOf, playersOf, removeNodes, renameNode, renameRole } from './edits.ts';
import { addPort } from './port-edits.ts';
import { grouped, insideOf, ungrouped, withInside } from './groups.ts';
import { addChoice, choices, type Choice } from './new-node.ts';
import { portsOf } from './ports.ts';
import type { TeamDoc } from './team-doc.svelte.ts';
import { titleOf } from './team-scene.ts';
import { join, keyOf, landing, NEW, verdicts, type PortRef, type Verdict } from './wires.ts';

/** A wire in the making: from which port, where the pointer is (canvas), and what may take it. */
export type Pull = {
  readonly from: PortRef;
  readonly at: Point;
  readonly over: PortRef | null;
  readonly why: string | null;
  readonly verdicts: ReadonlyMap<string, Verdict>;
};
/** The open menu: where on the screen, and where on the canvas a new node goes; `from` is the wire that waits. */
export type Menu = { readonly from: PortRef | null; readonly at: Point | null; readonly screen: Point | null };

/** What the canvas knows and this does not: where cards stand now. */
export type Places = () => Readonly<Record<string, Point>>;

const STEP = 24;

export class Drawing {
  selection = $state.raw<readonly string[]>([]);
  wire = $state.raw<Edge | null>(null);
  pull = $state.raw<Pull | null>(null);
  menu = $state.raw<Menu | null>(null);
  renaming = $state.raw<string | null>(null);
  /** The sub-workflow that is open, or null for the team itself. */
  inside = $state.raw<string | null>(null);
  readonly workflow: Workflow | null = $derived.by(() => {
    const whole = this.#doc.team?.workflow;
    if (!whole || this.inside === null) return whole ?? null;
    return insideOf(whole, this.inside) ?? whole;
  });
  readonly selected = $derived(this.selection.at(-1) ?? null);
  readonly #doc: TeamDoc;
  readonly #session: Session;
  places: Places = () => ({});

  constructor(doc: TeamDoc, session: Session) {
    this.#doc = doc;
    this.#session = session;
  }

  /** One step. Inside a sub-workflow the edit is of that part. */
  apply(next: Workflow | null, kind = ''): boolean {
    const whole = this.#doc.team?.workflow;
    if (!next || !whole || next === this.workflow) return false;
    this.#doc.change({ workflow: this.#open(whole) ? withInside(whole, this.inside as string, next) : next }, kind);
    return true;
  }

  #open(whole: Workflow): boolean {
    return this.inside !== null && insideOf(whole, this.inside) !== null;
  }

  select(id: string | null, more = false): void {
    this.wire = null;
    if (id === null) this.selection = [];
    else if (!more) this.selection = [id];
    else
      this.selection = this.selection.includes(id)
        ? this.selection.filter((one) => one !== id)
        : [...this.selection, id];
  }

  selectMany(ids: readonly string[]): void {
    this.wire = null;
    this.selection = ids;
  }

  selectWire(edge: Edge | null): void {
    this.wire = edge;
    this.selection = [];
  }

  /** Selected nodes that are still there; undo may have taken some. */
  #chosen(): string[] {
    return this.selection.filter((id) => this.workflow && nodeOf(this.workflow, id));
  }

  ask(from: PortRef | null, at: Point | null, screen: Point | null): void {
    this.menu = { from, at, screen };
  }

  /** What the open menu offers: for a waiting wire the ports that take it, and what could be added for it. */
  offers(menu: Menu): Choice[] {
    const { workflow } = this;
    if (!workflow) return [];
    const added = choices(workflow, menu.from);
    if (!menu.from) return added;
    // Let go over empty canvas, a wire asks for a new node; from the keyboard it asks for a port first.
    const ends = this.#ends(workflow, menu.from);
    return menu.at ? [...added, ...ends] : [...ends, ...added];
  }

  #ends(workflow: Workflow, from: PortRef): Choice[] {
    const text = words.team.wire;
    return [...verdicts(workflow, from)].flatMap(([key, verdict]) => {
      if (!verdict.ok) return [];
      const [id, , port] = key.split('|');
      const node = nodeOf(workflow, id);
      if (!node) return [];
      const title = titleOf(workflow, node);
      const label = port === NEW ? text.newPort(title) : text.port(title, port);
      return [{ id: `to|${key}`, label, detail: text.connectDetail }];
    });
  }

  /** Names of a node's input ports. */
  inputsOf(id: string): string[] {
    const node = this.workflow && nodeOf(this.workflow, id);
    return this.workflow && node ? portsOf(this.workflow, node).inputs.map((port) => port.name) : [];
  }

  /** The port a wire from this node most likely starts at: its first output, or where it has none its first input. */
  firstPort(id: string): PortRef | null {
    const node = this.workflow && nodeOf(this.workflow, id);
    if (!this.workflow || !node) return null;
    const { inputs, outputs } = portsOf(this.workflow, node);
    if (outputs[0]) return { node: id, side: 'out', port: outputs[0].name };
    return inputs[0] ? { node: id, side: 'in', port: inputs[0].name } : null;
  }

  /** Does what was chosen in the menu: draws the wire, or adds the node with it. Returns the node to look at. */
  choose(choice: string, menu: Menu): string | null {
    const { workflow } = this;
    if (!workflow) return null;
    if (choice.startsWith('to|')) {
      const [, node, side, port] = choice.split('|');
      this.apply(menu.from && join(workflow, menu.from, { node, side: side as PortRef['side'], port }));
      return menu.from?.node ?? null;
    }
    const made = addChoice(workflow, choice, menu.from);
    if (!made) return null;
    this.apply(this.#placed(made.workflow, made.id, menu.at));
    this.select(made.id);
    return made.id;
  }

  /** Where a person pointed, or for a drawing that is laid out by itself, nowhere; else beside what is selected. */
  #placed(workflow: Workflow, id: string, at: Point | null): Workflow {
    if (this.inside !== null) return workflow;
    if (at) return move(workflow, { ...this.places(), [id]: at });
    if (Object.keys(workflow.layout).length === 0) return workflow;
    const places = this.places();
    const near = this.selected ? places[this.selected] : undefined;
    const right = Math.max(0, ...Object.values(places).map(({ x }) => x));
    const wished = near ? { x: near.x + 240, y: near.y } : { x: right + 240, y: 0 };
    return move(workflow, { [id]: freeSpot(wished, Object.values(places)) });
  }

  startPull(from: PortRef, at: Point): void {
    if (this.workflow) this.pull = { from, at, over: null, why: null, verdicts: verdicts(this.workflow, from) };
  }

  /** The pointer moved; `over` is the port or card under it. */
  movePull(at: Point, over: PortRef | { node: string } | null): void {
    const { pull, workflow } = this;
    if (!pull || !workflow) return;
    const end = over && !('port' in over) ? landing(workflow, pull.from, over.node) : (over as PortRef | null);
    const found = end && pull.verdicts.get(keyOf(end));
    const why =
      found && !found.ok ? found.why : over && !end && over.node !== pull.from.node ? words.team.wire.noPort : null;
    this.pull = { ...pull, at, over: end && found?.ok ? end : null, why };
  }

  /** Let go: the wire is drawn, or over empty canvas the menu asks what to add for it. */
  endPull(empty: boolean, screen: Point): void {
    const { pull, workflow } = this;
    this.pull = null;
    if (!pull || !workflow) return;
    if (pull.over) this.apply(join(workflow, pull.from, pull.over));
    else if (empty) this.ask(pull.from, pull.at, screen);
    else if (pull.why) this.#session.notify('info', pull.why);
  }

  remove(): void {
    const { workflow, wire } = this;
    if (!workflow) return;
    if (wire) this.apply(disconnect(workflow, wire));
    else this.apply(removeNodes(workflow, this.#chosen()));
    this.select(null);
  }

  removeWire(edge: Edge): void {
    if (this.workflow) this.apply(disconnect(this.workflow, edge));
  }

  copy(): string | null {
    const ids = this.#chosen();
    return this.workflow && ids.length > 0 ? copied(this.workflow, ids, this.places()) : null;
  }

  /** Takes text from the clipboard if it is copied nodes; true when it was. */
  paste(text: string, at: Point | null = null): boolean {
    if (!this.workflow || !looksCopied(text)) return false;
    try {
      const next = pasted(this.workflow, text, at);
      const auto = !at && Object.keys(this.workflow.layout).length === 0;
      this.apply(auto || this.inside !== null ? { ...next.workflow, layout: this.workflow.layout } : next.workflow);
      this.selectMany(next.ids);
    } catch (failure) {
      this.#session.notify('error', sentence(failure));
    }
    return true;
  }

  duplicate(): void {
    const text = this.copy();
    if (text) this.paste(text);
  }

  rename(id: string, title: string): void {
    const { workflow } = this;
    const team = this.#doc.team;
    const node = workflow && nodeOf(workflow, id);
    this.renaming = null;
    if (!workflow || !team || !node || title.trim() === '' || title.trim() === titleOf(workflow, node)) return;
    const named = renameNode(workflow, id, title);
    const alone = node.kind === 'role' && playersOf(workflow, node.role).length === 1;
    const whole = this.#doc.team?.workflow;
    if (!whole) return;
    const back = (next: Workflow): Workflow =>
      this.#open(whole) ? withInside(whole, this.inside as string, next) : next;
    if (alone) {
      const role = renameRole(back(named.workflow), node.role, title);
      this.#doc.change({ workflow: role.workflow, cast: renameSeat(team.cast, node.role, role.id) }, '');
    } else this.apply(named.workflow);
    this.selection = this.selection.map((one) => (one === id ? named.id : one));
  }

  /** Ends of a drag: every place, so that nothing else moves when one card was moved. */
  moved(places: Readonly<Record<string, Point>>): void {
    if (this.workflow && this.inside === null) this.apply(move(this.workflow, places));
  }

  /** Moves what is selected one step with the keyboard; steps in quick succession are one. */
  nudge(dx: number, dy: number): void {
    const ids = this.#chosen();
    if (!this.workflow || this.inside !== null || ids.length === 0) return;
    const places = this.places();
    const shifted = ids.flatMap((id) =>
      places[id] ? [[id, { x: places[id].x + dx * STEP, y: places[id].y + dy * STEP }]] : [],
    );
    this.apply(
      move(this.workflow, { ...places, ...(Object.fromEntries(shifted) as Record<string, Point>) }),
      `move ${ids.join(' ')}`,
    );
  }

  tidy(): void {
    if (this.workflow) this.apply({ ...this.workflow, layout: {} });
  }

  group(): void {
    if (!this.workflow || this.inside !== null) return;
    try {
      const next = grouped(this.workflow, this.#chosen(), this.places());
      this.apply(next.workflow);
      this.select(next.id);
    } catch (failure) {
      this.#session.notify('info', sentence(failure));
    }
  }

  ungroup(): void {
    const node = this.workflow && this.selected ? nodeOf(this.workflow, this.selected) : undefined;
    if (!this.workflow || node?.kind !== 'workflow') return;
    const next = ungrouped(this.workflow, node.id, this.places());
    if (!next) return;
    this.apply(next.workflow);
    this.selectMany(next.ids);
  }

  /** Opens the sub-workflow a node runs, or with null goes back to the team. */
  enter(name: string | null): void {
    this.inside = name;
    this.select(null);
  }

  /** A double press on a card: a group opens, anything else is renamed. */
  open(id: string): void {
    const node = this.workflow && nodeOf(this.workflow, id);
    if (node?.kind === 'workflow') this.enter(node.workflow);
    else this.renaming = id;
  }

  /** Adds a port of the usual kind. */
  grow(id: string): void {
    const node = this.workflow && nodeOf(this.workflow, id);
    if (!this.workflow || !node) return;
    const usual = { name: node.kind === 'input' ? nextField(node) : 'value', type: 'text' as const };
    const wanted =
      node.kind === 'input' && usual.name === 'paragraphs' ? { ...usual, type: 'passages' as const } : usual;
    this.apply(addPort(this.workflow, id, wanted)?.workflow ?? null);
  }
}

/** The fields a question has, in the order a team asks for them. */
function nextField(node: Extract<WorkflowNode, { kind: 'input' }>): string {
  const names = node.outputs.map((port) => port.name);
  return ['question', 'paragraphs', 'id'].find((name) => !names.includes(name)) ?? 'value';
}

function freeSpot(wished: Point, taken: readonly Point[]): Point {
  let { y } = wished;
  while (taken.some((one) => Math.abs(one.x - wished.x) < 190 && Math.abs(one.y - y) < 110)) y += 120;
  return { x: wished.x, y };
}
