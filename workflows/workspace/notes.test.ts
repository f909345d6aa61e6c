import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, paths } from './layout.ts';
import { readNotes, tagsOf, writeNote } from './notes.ts';
import { openNodeStore } from './store.node.ts';
import type { Store } from './store.ts';

describe('notes on traces', () => {
  let folder: string;
  let store: Store;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-notes-'));
    store = openNodeStore(folder);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are the last of each trace and record, and gone once empty', async () => {
    expect(await readNotes(store, 'r')).toMatchObject({ list: [] });
    await writeNote(store, 'r', { trace: 'a', text: ' first ', tags: [' odd ', 'odd', ''] });
    await writeNote(store, 'r', { trace: 'a', record: 'x#0', text: 'here', tags: ['lucky'] });
    await writeNote(store, 'r', { trace: 'a', text: 'second', tags: ['odd'] });
    const notes = await readNotes(store, 'r');
    expect(notes.list.map(({ record, text }) => [record, text])).toEqual([
      ['x#0', 'here'],
      [undefined, 'second'],
    ]);
    expect(tagsOf(notes, 'a')).toEqual(['lucky', 'odd']);
    await writeNote(store, 'r', { trace: 'a', text: '', tags: [] });
    expect((await readNotes(store, 'r')).list).toHaveLength(1);
  });

  it('survive lines that are none', async () => {
    await writeNote(store, 'r', { trace: 'a', text: 'kept', tags: [] });
    const whole = new TextDecoder().decode(await store.read(paths.notes('r')));
    await store.write(paths.notes('r'), bytesOf(`{"trace":\n[1]\n\n${whole}{"trace":"b","text":7}\n`));
    expect((await readNotes(store, 'r')).list).toMatchObject([{ trace: 'a', text: 'kept' }]);
  });

  it('are refused with a sentence where they are too long', async () => {
    const refused = { name: 'UserError' };
    await expect(writeNote(store, 'r', { trace: 'a', text: 'x'.repeat(10_001), tags: [] })).rejects.toMatchObject(
      refused,
    );
    await expect(writeNote(store, 'r', { trace: 'a', text: '', tags: ['t'.repeat(41)] })).rejects.toThrow(/tags/);
  });
});
