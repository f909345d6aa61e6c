/**
 * Copying and pasting in the editor: selected nodes as plain text, a whole team's file as a team. Where a person types or has
 * marked text, the browser's own copying stays.
 */
import type { Session } from '../app/session.svelte.ts';
import type { Point } from '../graph/scene.ts';
import { words } from '../words.ts';
import type { Drawing } from './drawing.svelte.ts';

export class TeamClipboard {
  readonly #drawing: Drawing;
  readonly #session: Session;
  readonly #pointed: () => Point | null;

  /** `pointed`: where on the canvas the pointer is. */
  constructor(drawing: Drawing, session: Session, pointed: () => Point | null) {
    this.#drawing = drawing;
    this.#session = session;
    this.#pointed = pointed;
  }

  /** For the menu, where the browser sends no event of its own. */
  async copy(cut: boolean): Promise<void> {
    const copied = this.#drawing.copy();
    if (!copied) return;
    try {
      await navigator.clipboard.writeText(copied);
      if (cut) this.#drawing.remove();
    } catch {
      this.#session.notify('warning', words.team.menu.noClipboard);
    }
  }

  async pasteAt(at: Point | null): Promise<void> {
    try {
      this.#take(await navigator.clipboard.readText(), at);
    } catch {
      this.#session.notify('warning', words.team.menu.noClipboard);
    }
  }

  /** A copy or a cut. */
  readonly oncopy = (event: ClipboardEvent): void => {
    const copied = typing() ? null : this.#drawing.copy();
    if (!copied) return;
    event.clipboardData?.setData('text/plain', copied);
    event.preventDefault();
    if (event.type === 'cut') this.#drawing.remove();
  };

  readonly onpaste = (event: ClipboardEvent): void => {
    if (!typing() && this.#take(event.clipboardData?.getData('text/plain') ?? '', this.#pointed()))
      event.preventDefault();
  };

  /** True when the text was copied nodes or a team's file. */
  #take(text: string, at: Point | null): boolean {
    if (!/^\s*\{\s*"troupe":\s*"workflow"/.test(text)) return this.#drawing.paste(text, at);
    this.#session.bringTeam(text);
    return true;
  }
}

function typing(): boolean {
  const { activeElement } = document;
  return activeElement?.closest('input, textarea, select, dialog') != null || !document.getSelection()?.isCollapsed;
}
