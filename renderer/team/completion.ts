/** Completion of `{{references}}` while a prompt is written: what is being typed, what could stand there, and putting it in. */
import { renderings } from '../../workflows/run/prompt.ts';

export type Completion = {
  /** Where what is typed so far begins, behind the braces or the bar. */
  readonly from: number;
  readonly options: readonly string[];
};

/** What fits at the caret, or null where no reference is being written. */
export function completionAt(text: string, caret: number, ports: readonly string[]): Completion | null {
  const open = text.lastIndexOf('{{', caret - 1);
  if (open < 0 || open + 2 > caret) return null;
  const inner = text.slice(open + 2, caret);
  if (/[{}\n]/.test(inner)) return null;
  const bar = inner.indexOf('|');
  const typed = (bar < 0 ? inner : inner.slice(bar + 1)).trimStart();
  const all: readonly string[] = bar < 0 ? ports : renderings;
  const options = all.filter((name) => name.startsWith(typed) && name !== typed);
  return options.length > 0 ? { from: caret - typed.length, options } : null;
}

/** The text with an option put in and the reference closed, and where the caret goes. */
export function completed(
  text: string,
  caret: number,
  { from }: Completion,
  option: string,
): { text: string; caret: number } {
  const closed = /^\s*(\||\}\})/.test(text.slice(caret));
  const put = closed ? option : `${option}}}`;
  return { text: text.slice(0, from) + put + text.slice(caret), caret: from + put.length };
}
