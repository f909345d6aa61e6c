/**
 * The team on the screen: one undo stack over graph, layout, prompts, rewards, cast and pins, what is saved, what is not. Every
 * step goes to the journal at once, so a reload or a crash loses none. A built-in team is never overwritten: saving one
 * makes the person's own copy, and so does changing one that another window has open.
 */
import type { Pinned } from '../../workflows/run/pinned.ts';
import { parseWorkflow } from '../../workflows/schema/migrate.ts';
import type { Role, Workflow } from '../../workflows/schema/workflow.ts';
import type { Session } from '../app/session.svelte.ts';
import { sentence } from '../app/session.svelte.ts';
import { words } from '../words.ts';
import { boardOf, draftOf, rememberBoard, rememberDraft } from './board-memory.ts';
import { baseOf, seated } from './cast-board.ts';
import { copyName } from './copy-name.ts';
import { setRole } from './edits.ts';
import { begin, canRedo, canUndo, edit, present, redo, undo, type History } from './history.ts';
import { journalNames, readJournal, removeJournal, writeJournal } from './journal-db.ts';
import { historyOf, writesFor } from './journal.ts';
import { freeName, slug } from './names.ts';
import { holdTeam, type Hold } from './other-windows.ts';
import { pinsIn } from './pins.ts';
import { emptyWorkflow, type Team } from './team.ts';

const noPins: Pinned = {};
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export class TeamDoc {
  history = $state.raw<History<Team> | null>(null);
  saved = $state.raw<Workflow | null>(null);
  /** Teams that have a journal. */
  #drawn = $state.raw<readonly string[]>([]);
  /** Teams that were drawn and never saved. */
  readonly fresh = $derived(this.#drawn.filter((name) => !this.#known(name)));
  readonly team = $derived(this.history && present(this.history));
  /** Results that stand for nodes, by the nodes' paths. */
  readonly pins: Pinned = $derived(this.team?.pins ?? noPins);
  readonly unsaved = $derived(this.team !== null && !same(this.team.workflow, this.saved));
  readonly canUndo = $derived(this.history !== null && canUndo(this.history));
  readonly canRedo = $derived(this.history !== null && canRedo(this.history));
  readonly #session: Session;
  #loading = '';
  /** Null while it is not known yet whose the team is. */
  #hold: Hold | null = null;

  constructor(session: Session) {
    this.#session = session;
    void this.#lookUp();
  }

  /** Other windows begin teams too. */
  async #lookUp(): Promise<void> {
    const names = await journalNames();
    this.#drawn = [...new Set([...names, ...this.#drawn])];
  }

  async #take(name: string): Promise<boolean> {
    this.release();
    const hold = await holdTeam(name);
    if (this.#loading === name) this.#hold = hold;
    else hold.release();
    return hold.first;
  }

  /** Lets other windows have the team. */
  release(): void {
    this.#hold?.release();
    this.#hold = null;
  }

  #known(name: string): boolean {
    return this.#session.workflows.some((one) => one.name === name);
  }

  #taken(): string[] {
    return [...this.#session.workflows.map((one) => one.name), ...this.fresh];
  }

  async load(name: string): Promise<void> {
    this.#loading = name;
    const mine = await this.#take(name);
    const rows = await readJournal(name);
    const kept = historyOf(rows);
    const disk = this.#known(name) || !kept ? await this.#session.attempt((api) => api.workflow(name)) : null;
    if (this.#loading !== name || (!disk && !kept)) return;
    this.saved = disk;
    const shown = kept ?? begin(this.#opened(name, disk as Workflow));
    const baseline = rows.find((row) => row.key === 'saved')?.value;
    const elsewhere = kept !== null && disk !== null && baseline !== undefined && !same(baseline, disk);
    const edited = kept !== null && disk !== null && !same(present(kept).workflow, disk);
    const untouched = kept !== null && same(present(kept).workflow, baseline);
    // Another program or window saved meanwhile: what is on disk is one more step, unless there is work to lose.
    this.history =
      elsewhere && untouched && disk
        ? edit(shown, { ...present(shown), workflow: disk, cast: this.#seat(present(shown), disk) }, '', Date.now())
        : shown;
    if (mine) writeJournal(name, { put: [{ key: 'saved', value: disk }] });
    if (mine && (kept === null || this.history !== shown)) writeJournal(name, writesFor(null, this.history));
    if (elsewhere && !untouched) this.#session.notify('warning', words.team.changedElsewhere);
    else if (edited && !untouched) this.#session.notify('info', words.team.restored);
    if (mine) this.#remember();
  }

  /** As it was left where there is no journal: the unsaved draft, the board of the cast. */
  #opened(name: string, disk: Workflow): Team {
    const workflow = draftOf(name) ?? disk;
    return { workflow, cast: seated(boardOf(name), workflow, baseOf(this.#session.models)) };
  }

  #seat(team: Team, workflow: Workflow): Team['cast'] {
    return same(Object.keys(team.workflow.roles), Object.keys(workflow.roles))
      ? team.cast
      : seated(team.cast, workflow, baseOf(this.#session.models));
  }

  /** Begins an empty canvas; returns the name it has until it is saved. */
  async create(): Promise<string> {
    await this.#lookUp();
    return this.#begin(emptyWorkflow(freeName('team', this.#taken()), words.team.untitled), null);
  }

  /** Opens a workflow file's text under a name of its own; null, and a sentence, where it is none. */
  async import(text: string): Promise<string | null> {
    try {
      await this.#lookUp();
      const workflow = parseWorkflow(JSON.parse(text));
      return this.#begin({ ...workflow, name: freeName(workflow.name, this.#taken()) }, null);
    } catch (failure) {
      this.#session.notify('error', failure instanceof SyntaxError ? words.team.notJson : sentence(failure));
      return null;
    }
  }

  #begin(workflow: Workflow, saved: Workflow | null, cast: Team['cast'] | null = null): string {
    this.#loading = workflow.name;
    void this.#take(workflow.name);
    this.saved = saved;
    this.#drawn = [...this.#drawn, workflow.name];
    this.history = begin({ workflow, cast: seated(cast, workflow, baseOf(this.#session.models)) });
    writeJournal(workflow.name, writesFor(null, this.history));
    this.#remember();
    return workflow.name;
  }

  change(next: Partial<Team>, kind: string): void {
    if (!this.history) return;
    const before = present(this.history);
    const workflow = next.workflow ?? before.workflow;
    const cast = next.cast ?? this.#seat(before, workflow);
    const pins = pinsIn(workflow, next.pins ?? this.pins);
    if (workflow === before.workflow && cast === before.cast && pins === this.pins) return;
    this.#show(
      edit(this.history, { workflow, cast, ...(Object.keys(pins).length > 0 ? { pins } : {}) }, kind, Date.now()),
    );
  }

  changeRole(id: string, change: Partial<Role>, kind: string): void {
    const workflow = this.team?.workflow;
    if (workflow)
      this.change({ workflow: setRole(workflow, id, { ...workflow.roles[id], ...change }) }, `${kind} of ${id}`);
  }

  undo(): void {
    if (this.history) this.#show(undo(this.history));
  }
  redo(): void {
    if (this.history) this.#show(redo(this.history));
  }
  discard(): void {
    const now = this.team?.workflow;
    if (now) this.change({ workflow: this.saved ?? emptyWorkflow(now.name, now.title) }, '');
  }

  #show(next: History<Team>): void {
    if (this.#hold?.first === false) return this.#copy(next);
    const before = this.history;
    this.history = next;
    writeJournal(present(next).workflow.name, writesFor(before, next));
    this.#remember();
  }

  /** The team is another window's: what is done here goes on under a name of its own, with every step before it. */
  #copy(next: History<Team>): void {
    const { name, title } = present(next).workflow;
    const under = copyName(name, this.#taken());
    this.history = next;
    this.saved = null;
    this.#loading = under;
    void this.#take(under);
    this.#rename({ name: under, title: words.team.copyTitle(title).slice(0, 120) });
    this.#remember();
    this.#session.notify('info', words.team.copiedHere);
    this.#session.go({ screen: 'team', workflow: under });
  }

  /** Saves, and goes to the name it is saved under, which is another for a built-in team's copy and a new team. */
  async save(): Promise<void> {
    const team = this.team;
    if (!team) return;
    if (team.workflow.nodes.length < 2) {
      this.#session.notify('warning', words.team.tooSmall);
      return;
    }
    const { name, title } = team.workflow;
    const builtIn = this.#session.workflows.find((one) => one.name === name)?.template ?? false;
    const under = this.#nameFor(team.workflow, builtIn);
    const workflow = {
      ...team.workflow,
      name: under,
      title: builtIn ? words.team.copyTitle(title).slice(0, 120) : title,
    };
    const done = await this.#session.attempt(async (api) => {
      await api.saveWorkflow(workflow);
      return true;
    });
    if (!done) return;
    if (under !== name) {
      this.#loading = under;
      void this.#take(under);
      removeJournal(name);
      rememberDraft(name, null);
      this.#drawn = this.#drawn.filter((one) => one !== name);
    }
    if (under !== name || workflow.title !== title) this.#rename(workflow);
    this.saved = workflow;
    writeJournal(under, { put: [{ key: 'saved', value: workflow }] });
    this.#remember();
    this.#session.notify('info', builtIn ? words.team.savedCopy(workflow.title) : words.team.saved(workflow.title));
    // Before the list is read again: what is shown goes by the new name from now on.
    if (under !== name) this.#session.go({ screen: 'team', workflow: under });
    await this.#session.refreshWorkflows();
  }

  /** A copy under a name of its own, with its cast; the team itself stays as it is. */
  async duplicate(): Promise<string | null> {
    const { team } = this;
    if (!team) return null;
    await this.#lookUp();
    const { name, title } = team.workflow;
    const under = copyName(name, this.#taken());
    const workflow = { ...team.workflow, name: under, title: words.team.copyTitle(title).slice(0, 120) };
    return this.#begin(workflow, null, team.cast);
  }

  /** Takes the team away: its file, and what was drawn of it. */
  async remove(): Promise<boolean> {
    const { team } = this;
    if (!team) return false;
    const { name } = team.workflow;
    if (this.#known(name)) {
      const done = await this.#session.attempt(async (api) => {
        await api.removeWorkflow(name);
        return true;
      });
      if (!done) return false;
    }
    this.release();
    this.history = null;
    this.saved = null;
    removeJournal(name);
    rememberDraft(name, null);
    rememberBoard(name, null);
    this.#drawn = this.#drawn.filter((one) => one !== name);
    this.#session.notify('info', words.team.removed(team.workflow.title));
    await this.#session.refreshWorkflows();
    return true;
  }

  #nameFor({ name, title }: Workflow, builtIn: boolean): string {
    const taken = this.#session.workflows.map((one) => one.name);
    if (builtIn) return copyName(name, taken);
    return this.#known(name) ? name : freeName(slug(title, 'team'), taken);
  }

  /** The stack goes on under the new name: what was drawn before can still be undone. */
  #rename({ name, title }: Pick<Workflow, 'name' | 'title'>): void {
    if (!this.history) return;
    const before = present(this.history).workflow.title;
    const states = this.history.states.map((state) => ({
      ...state,
      workflow: { ...state.workflow, name, title: state.workflow.title === before ? title : state.workflow.title },
    }));
    this.history = { ...this.history, states };
    this.#drawn = [...new Set([...this.#drawn, name])];
    writeJournal(name, writesFor(null, this.history));
  }

  /** What the training screen takes up: the board, and the workflow where it is not saved. */
  #remember(): void {
    if (!this.team) return;
    const { workflow, cast } = this.team;
    rememberBoard(workflow.name, cast);
    rememberDraft(workflow.name, this.unsaved ? workflow : null);
  }
}
