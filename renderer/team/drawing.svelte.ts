/**
 * What a person does on the canvas and in the outline: what is selected, the wire being pulled, the menu that asks what to
 * add or where to connect. Each gesture ends in one step of the document. The same moves serve mouse and keyboard.
 */
import type { Edge, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import { sentence, type Session } from '../app/session.svelte.ts';
import type { Point } from '../graph/scene.ts';
import { offers, type Menu } from './add-menu.ts';
import { renameSeat } from './cast-board.ts';
import { copied, looksCopied, pasted } from './clipboard.ts';
import { disconnect, move, nodeOf, playersOf, removeNodes, renameNode, renameRole } from './edits.ts';
import { addPort } from './port-edits.ts';
import { grouped, insideOf, ungrouped, withInside } from './groups.ts';
import { addChoice, insertChoice, type Choice } from './new-node.ts';
import { addNote } from './notes.ts';
import { portsOf } from './ports.ts';
import type { TeamDoc } from './team-doc.svelte.ts';
import { titleOf } from './team-scene.ts';
import { fromOutside, openedOn, withSeries, type Moved, type Opened } from './paths.ts';
import { movedPins } from './pins.ts';
import { landedPull, movedPull, startedPull, type Pull } from './pull.ts';
import type { Team } from './team.ts';
import { join, type PortRef } from './wires.ts';

/** What the canvas knows and this does not: where cards stand now. */
export type Places = () => Readonly<Record<string, Point>>;

/** Which of a role's settings are shown. */
export type Face = 'prompt' | 'output' | 'sampling' | 'reward';

const STEP = 24;

export class Drawing {
  selection = $state.raw<readonly string[]>([]);
  wire = $state.raw<Edge | null>(null);
  pull = $state.raw<Pull | null>(null);
  menu = $state.raw<Menu | null>(null);
  renaming = $state.raw<string | null>(null);
  /** It stays from role to role. */
  face = $state<Face>('prompt');
  /** Whether the rewards of the whole team are shown, where no node is selected. */
  rewardsOpen = $state(false);
  /** Nodes that run the groups that were opened, outermost first; some may be gone. */
  #way = $state.raw<readonly string[]>([]);
  /** The groups that are open. */
  readonly opened: readonly Opened[] = $derived.by(() => {
    const whole = this.#doc.team?.workflow;
    return whole ? openedOn(whole, this.#way) : [];
  });
  /** The sub-workflow that is open, or null for the team itself. */
  readonly inside: string | null = $derived(this.opened.at(-1)?.name ?? null);
  /** What stands before a node's name to name it from outside: "group.", or nothing. */
  readonly prefix: string = $derived(this.opened.map(({ node }) => `${node}.`).join(''));
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

  /** One step. Inside a sub-workflow the edit is of that part; rewards and pins go where `moved` says their nodes went. */
  apply(next: Workflow | null, kind = '', moved: Moved | null = null): boolean {
    const whole = this.#doc.team?.workflow;
    if (!next || !whole || next === this.workflow) return false;
    this.#doc.change(this.#changed(whole, next, moved), kind);
    return true;
  }

  #changed(whole: Workflow, next: Workflow, moved: Moved | null): Pick<Team, 'workflow' | 'pins'> {
    const workflow = this.inside === null ? next : withInside(whole, this.inside, next);
    if (!moved) return { workflow };
    const followed = fromOutside(whole, this.inside, moved);
    return { workflow: withSeries(workflow, followed), pins: movedPins(this.#doc.pins, followed) };
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

  /** Asks what to put into a wire. */
  askBetween(edge: Edge, screen: Point | null): void {
    this.menu = { from: { node: edge.from.node, side: 'out', port: edge.from.port }, at: null, screen, between: edge };
  }

  offers(menu: Menu): Choice[] {
    return this.workflow ? offers(this.workflow, menu) : [];
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
    const before = this.workflow;
    if (!before) return null;
    const workflow = menu.moving ? disconnect(before, menu.moving) : before;
    if (choice === 'off') {
      this.apply(workflow);
      return menu.from?.node ?? null;
    }
    if (choice.startsWith('to|')) {
      const [, node, side, port] = choice.split('|');
      this.apply(menu.from && join(workflow, menu.from, { node, side: side as PortRef['side'], port }));
      return menu.from?.node ?? null;
    }
    if (choice === 'note') return this.#note(workflow, menu.at);
    const made = menu.between ? insertChoice(workflow, choice, menu.between) : addChoice(workflow, choice, menu.from);
    if (!made) return null;
    this.apply(this.#placed(made.workflow, made.id, menu.between ? this.#middle(menu.between) : menu.at));
    this.select(made.id);
    return made.id;
  }

  /** A note where a person pointed, or below all cards. */
  #note(workflow: Workflow, at: Point | null): string | null {
    const places = Object.values(this.places());
    const left = Math.min(0, ...places.map(({ x }) => x));
    const below = Math.max(0, ...places.map(({ y }) => y)) + (places.length > 0 ? 160 : 0);
    const made = addNote(workflow, at ?? { x: left + 40, y: below });
    this.apply(made?.workflow ?? null);
    return made?.id ?? null;
  }

  /** Half way along a wire, where cards stand where a person put them. */
  #middle({ from, to }: Edge): Point | null {
    if (!this.workflow || Object.keys(this.workflow.layout).length === 0) return null;
    const [a, b] = [this.places()[from.node], this.places()[to.node]];
    return a && b ? { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } : null;
  }

  /** Where a person pointed, or for a drawing that is laid out by itself, nowhere; else beside what is selected. */
  #placed(workflow: Workflow, id: string, at: Point | null): Workflow {
    if (at) return move(workflow, { ...this.places(), [id]: at });
    if (Object.keys(workflow.layout).length === 0) return workflow;
    const places = this.places();
    const near = this.selected ? places[this.selected] : undefined;
    const right = Math.max(0, ...Object.values(places).map(({ x }) => x));
    const wished = near ? { x: near.x + 240, y: near.y } : { x: right + 240, y: 0 };
    return move(workflow, { [id]: freeSpot(wished, Object.values(places)) });
  }

  /** A wire is pulled from a port. */
  startPull(from: PortRef, at: Point): void {
    if (this.workflow) this.pull = startedPull(this.workflow, from, at);
  }

  /** The pointer moved; `over` is the port or card under it. */
  movePull(at: Point, over: PortRef | { node: string } | null): void {
    if (this.pull && this.workflow) this.pull = movedPull(this.workflow, this.pull, at, over);
  }

  /** Let go: the wire is drawn, or over empty canvas the menu asks what to add for it. */
  endPull(empty: boolean, screen: Point): void {
    const { pull, workflow } = this;
    this.pull = null;
    if (!pull || !workflow) return;
    const { moving } = pull;
    if (pull.over) this.apply(landedPull(workflow, pull, pull.over));
    else if (empty) this.menu = { from: pull.from, at: pull.at, screen, ...(moving ? { moving } : {}) };
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
      const auto = Object.keys(this.workflow.layout).length === 0;
      const next = pasted(this.workflow, text, auto ? null : at);
      this.apply(auto ? { ...next.workflow, layout: this.workflow.layout } : next.workflow);
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
    const change = this.#changed(team.workflow, named.workflow, named.moved);
    if (node.kind === 'role' && playersOf(workflow, node.role).length === 1) {
      const role = renameRole(change.workflow, node.role, title);
      this.#doc.change({ ...change, workflow: role.workflow, cast: renameSeat(team.cast, node.role, role.id) }, '');
    } else this.#doc.change(change, '');
    this.selection = this.selection.map((one) => (one === id ? named.id : one));
  }

  /** Ends of a drag: every place, so that nothing else moves when one card was moved. */
  moved(places: Readonly<Record<string, Point>>): void {
    if (this.workflow) this.apply(move(this.workflow, places));
  }

  /** Moves what is selected one step with the keyboard; steps in quick succession are one. */
  nudge(dx: number, dy: number): void {
    const ids = this.#chosen();
    if (!this.workflow || ids.length === 0) return;
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
    if (!this.workflow) return;
    try {
      const next = grouped(this.workflow, this.#chosen(), this.places());
      this.apply(next.workflow, '', next.moved);
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
    this.apply(next.workflow, '', next.moved);
    this.selectMany(next.ids);
  }

  /** Opens the sub-workflow that a node of the drawing runs. */
  enter(node: string): void {
    this.#way = [...this.opened.map((one) => one.node), node];
    this.select(null);
  }

  /** Goes back to so many open groups; to none, the team itself. */
  leave(depth: number): void {
    if (this.#way.length <= depth) return;
    this.#way = this.#way.slice(0, depth);
    this.select(null);
  }

  /** Shows a node wherever it stands, and selects it. */
  show(path: string): void {
    const way = path.split('.');
    const id = way.pop() ?? '';
    this.#way = way;
    this.select(id);
  }

  /** A double press on a card: a group opens, anything else is renamed. */
  open(id: string): void {
    const node = this.workflow && nodeOf(this.workflow, id);
    if (node?.kind === 'workflow') this.enter(id);
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
