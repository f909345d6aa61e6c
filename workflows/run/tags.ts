/**
 * Finding `<tag>…</tag>` in what a model said: linear in the text, never nested, whatever the text. Owns what the parsers
 * share: scanning, the fallback for a tag that was never closed, and cutting to length.
 */

/** One closed tag: its name, what lies inside (trimmed), and where it begins and ends. */
export type Tagged = { tag: string; value: string; start: number; end: number };

/** Tags in the text's order; whether there is text outside them, and whether one is unmatched or nested. */
export type Scan = { found: Tagged[]; outside: boolean; stray: boolean };

/** Scans for several tags at once. A tag inside another counts as stray. */
export function scanTags(text: string, tags: readonly string[]): Scan {
  const found = tags.flatMap((tag) => closed(text, tag)).sort((a, b) => a.start - b.start);
  const kept: Tagged[] = [];
  for (const each of found) if (each.start >= (kept.at(-1)?.end ?? 0)) kept.push(each);
  let outside = false;
  let stray = kept.length < found.length;
  const marks = tags.flatMap((tag) => [`<${tag}>`, `</${tag}>`]);
  const look = (between: string): void => {
    if (between.trim() !== '') outside = true;
    if (marks.some((mark) => between.includes(mark))) stray = true;
  };
  let at = 0;
  for (const each of kept) {
    look(text.slice(at, each.start));
    const inside = text.slice(each.start + each.tag.length + 2, each.end - each.tag.length - 3);
    if (marks.some((mark) => inside.includes(mark))) stray = true;
    at = each.end;
  }
  look(text.slice(at));
  return { found: kept, outside, stray };
}

function closed(text: string, tag: string): Tagged[] {
  const [open, close] = [`<${tag}>`, `</${tag}>`];
  const found: Tagged[] = [];
  for (let at = 0; ;) {
    const start = text.indexOf(open, at);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    if (end < 0) return found;
    const inside = text.slice(start + open.length, end);
    const last = inside.lastIndexOf(open);
    at = end + close.length;
    found.push({ tag, value: inside.slice(last < 0 ? 0 : last + open.length).trim(), start, end: at });
  }
}

/** What follows the last opening of a tag that was never closed; null where every one was. */
export function unclosed(text: string, tag: string): string | null {
  const [open, close] = [text.lastIndexOf(`<${tag}>`), text.lastIndexOf(`</${tag}>`)];
  return open > close ? text.slice(open + tag.length + 2) : null;
}

/** The text without these tags, its white space collapsed. */
export function withoutTags(text: string, tags: readonly string[]): string {
  let left = text;
  for (const tag of tags) left = left.replaceAll(`<${tag}>`, ' ').replaceAll(`</${tag}>`, ' ');
  return left.replace(/\s+/gu, ' ').trim();
}

export function cut(text: string, maxChars: number): string {
  return text.length > maxChars ? text.slice(0, maxChars).trimEnd() : text;
}
