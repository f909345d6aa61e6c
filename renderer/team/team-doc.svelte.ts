/**
 * The workflow on the screen: one undo stack over workflow and cast, what is saved, what is not. Unsaved edits survive a
 * reload; a built-in team is never overwritten: saving one makes the person's own copy.
 */
import type { Cast } from '../../workflows/schema/cast.ts';
import type { Role, Workflow } from '../../workflows/schema/workflow.ts';
import type { Session } from '../app/session.svelte.ts';
import { words } from '../words.ts';
import { boardOf, draftOf, rememberBoard, rememberDraft } from './board-memory.ts';
import { baseOf, fitted, sharedCast } from './cast-board.ts';
import { copyName } from './copy-name.ts';
import { begin, edit, redo, undo, type History } from './history.ts';

export type Team = { readonly workflow: Workflow; readonly cast: Cast };

export class TeamDoc {
  history = $state.raw<History<Team> | null>(null);
  saved = $state.raw<Workflow | null>(null);
  readonly team = $derived(this.history?.present ?? null);
  readonly unsaved = $derived(this.team !== null && JSON.stringify(this.team.workflow) !== JSON.stringify(this.saved));
  readonly canUndo = $derived((this.history?.past.length ?? 0) > 0);
  readonly canRedo = $derived((this.history?.future.length ?? 0) > 0);
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async load(name: string): Promise<void> {
    const workflow = await this.#session.attempt((api) => api.workflow(name));
    if (!workflow) return;
    this.saved = workflow;
    const draft = draftOf(name);
    const shown = draft ?? workflow;
    const roles = Object.keys(shown.roles);
    const board = boardOf(name);
    this.history = begin({
      workflow: shown,
      cast: (board && fitted(board, roles)) ?? sharedCast(shown, baseOf(this.#session.models)),
    });
    if (draft) this.#session.notify('info', words.team.restored);
  }

  change(next: Partial<Team>, kind: string): void {
    if (!this.history) return;
    this.history = edit(this.history, { ...this.history.present, ...next }, kind, Date.now());
    this.#keep();
  }

  changeRole(role: string, change: Partial<Role>, kind: string): void {
    const workflow = this.team?.workflow;
    if (!workflow) return;
    this.change(
      { workflow: { ...workflow, roles: { ...workflow.roles, [role]: { ...workflow.roles[role], ...change } } } },
      `${kind} of ${role}`,
    );
  }

  undo(): void {
    if (this.history) this.history = undo(this.history);
    this.#keep();
  }
  redo(): void {
    if (this.history) this.history = redo(this.history);
    this.#keep();
  }
  discard(): void {
    if (this.saved) this.change({ workflow: this.saved }, '');
  }

  /** Saves; returns the name it is saved under, which differs for a copy of a built-in team. */
  async save(): Promise<string | null> {
    const team = this.team;
    if (!team) return null;
    const builtIn = this.#session.workflows.find((one) => one.name === team.workflow.name)?.template ?? false;
    const taken = this.#session.workflows.map((one) => one.name);
    const workflow = builtIn
      ? {
          ...team.workflow,
          name: copyName(team.workflow.name, taken),
          title: `${team.workflow.title} (copy)`.slice(0, 120),
        }
      : team.workflow;
    const done = await this.#session.attempt(async (api) => {
      await api.saveWorkflow(workflow);
      return true;
    });
    if (!done) return null;
    rememberDraft(team.workflow.name, null);
    rememberBoard(workflow.name, team.cast);
    this.saved = workflow;
    if (!builtIn) this.#session.notify('info', words.team.saved(workflow.title));
    else this.#session.notify('info', words.team.savedCopy(workflow.title));
    await this.#session.refreshWorkflows();
    return workflow.name;
  }

  #keep(): void {
    if (!this.team) return;
    const { workflow, cast } = this.team;
    rememberBoard(workflow.name, cast);
    rememberDraft(workflow.name, this.unsaved ? workflow : null);
  }
}
