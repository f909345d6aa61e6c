/** Sentences and labels stand in one place: no screen has text of its own, neither between its tags nor in an attribute that is read aloud. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'svelte/compiler';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const screens = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.svelte'));
const read = ['aria-label', 'title', 'placeholder', 'alt', 'aria-description', 'label'];
/** Names of things, the same in every language. */
const names = ['Qwen/Qwen3-0.6B', 'https://'];

type Node = { readonly type?: string; readonly name?: string; readonly data?: string } & Readonly<
  Record<string, unknown>
>;

/** Every text of a component's markup that a person would read. */
function textsOf(node: unknown, found: string[] = []): string[] {
  if (Array.isArray(node)) for (const one of node) textsOf(one, found);
  else if (typeof node === 'object' && node !== null) {
    const { type, name, data } = node as Node;
    if (type === 'Text' && /\p{L}{2,}/u.test(data ?? '')) found.push(data!.trim());
    if (type === 'StyleDirective' || (type === 'Attribute' && !read.includes(name ?? ''))) return found;
    for (const [key, one] of Object.entries(node))
      if (key !== 'expression' || type !== 'Attribute') textsOf(one, found);
  }
  return found;
}

describe('the words of the screens', () => {
  it('are found where there are any', () => {
    const { fragment } = parse('<p title="Hello there">{#if x}<b>Some words</b>{/if}</p>', { modern: true });
    expect(textsOf(fragment)).toEqual(['Hello there', 'Some words']);
    expect(screens.length).toBeGreaterThan(50);
  });
  it.each(screens)('%s has none of its own', (name) => {
    const { fragment } = parse(readFileSync(join(root, name), 'utf8'), { modern: true });
    expect(textsOf(fragment).filter((text) => !names.includes(text))).toEqual([]);
  });
});
