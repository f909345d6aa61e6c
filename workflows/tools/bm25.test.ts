import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Passage } from '../schema/value.ts';
import { memoryStore } from '../train/test-support.ts';
import { buildIndex, searchIndex, words, type Bm25Index } from './bm25-index.ts';
import { indexOf, keepIndex, readIndex } from './bm25-kept.ts';
import { openTool } from './index.ts';

const corpus: Passage[] = [
  { title: 'Mira', text: 'lives in Oakton. keeps a cat. is the friend of Tom.' },
  { title: 'Tom', text: 'lives in Reedham. keeps a dog.' },
  { title: 'Oakton', text: 'a town of bakers and cats' },
  { title: 'Oakton', text: 'a town of bakers and cats' },
];

function manyPassages(count: number): Passage[] {
  const text = (i: number): string => Array.from({ length: 90 }, (_, j) => `w${(i * 31 + j * j) % 20_011}`).join(' ');
  return Array.from({ length: count }, (_, i) => ({ title: `t${i}`, text: text(i) }));
}

/** The formula written out, one document at a time. */
function slowScores(docs: readonly Passage[], query: string): number[] {
  const texts = docs.map((doc) => words(`${doc.title} ${doc.title} ${doc.text}`));
  const mean = Math.max(texts.reduce((sum, each) => sum + each.length, 0) / Math.max(docs.length, 1), 1);
  return texts.map((text) =>
    [...new Set(words(query))].reduce((sum, word) => {
      const count = text.filter((each) => each === word).length;
      const having = texts.filter((each) => each.includes(word)).length;
      const idf = Math.log(1 + (docs.length - having + 0.5) / (having + 0.5));
      return sum + (count === 0 ? 0 : (idf * count * 2.2) / (count + 1.2 * (0.25 + (0.75 * text.length) / mean)));
    }, 0),
  );
}

describe('the index', () => {
  const index = buildIndex(corpus);

  it('ranks by BM25 with the title counted twice, the earlier first among equals', () => {
    expect(searchIndex(index, 'friend of Tom', 3).map((hit) => hit.document)).toEqual([0, 1, 2]);
    expect(searchIndex(index, 'Oakton', 4).map((hit) => hit.document)).toEqual([2, 3, 0]);
    expect(searchIndex(index, 'zebra !!', 4)).toEqual([]);
  });

  it('agrees with the formula on random corpora', () => {
    const word = fc.constantFrom('a', 'b', 'c', 'd', 'é', 'x1');
    const sentence = fc.array(word, { maxLength: 12 }).map((each) => each.join(' '));
    fc.assert(
      fc.property(
        fc.array(fc.record({ title: sentence, text: sentence }), { minLength: 1, maxLength: 12 }),
        sentence,
        fc.integer({ min: 1, max: 5 }),
        (docs, query, k) => {
          const scores = slowScores(docs, query);
          const expected = scores.map((score, document) => ({ document, score })).filter((hit) => hit.score > 0);
          const hits = searchIndex(buildIndex(docs), query, k);
          expect(hits.length).toBe(Math.min(k, expected.length));
          for (const hit of hits) expect(hit.score).toBeCloseTo(scores[hit.document], 9);
          const worst = hits.at(-1)?.score ?? 0;
          const better = expected.filter((hit) => hit.score > worst + 1e-9).map((hit) => hit.document);
          expect(better.every((document) => hits.some((hit) => hit.document === document))).toBe(true);
        },
      ),
    );
  });

  it('reads words of any script and survives words that objects have', () => {
    expect(words('Ján’s Über-café 東京 _x')).toEqual(['ján', 's', 'über', 'café', '東京', '_x']);
    expect(
      searchIndex(buildIndex([{ title: '', text: 'constructor __proto__' }]), '__proto__ constructor', 1).length,
    ).toBe(1);
  });

  it('indexes 5,000 passages of 90 words in well under a second', () => {
    const many = manyPassages(5_000);
    const started = performance.now();
    const built = buildIndex(many);
    expect(performance.now() - started).toBeLessThan(3_000); // about 0.3 s alone; room for a busy machine
    expect(searchIndex(built, 't4999', 1)[0].document).toBe(4_999);
  });
});

describe('a large corpus', () => {
  const many = () => manyPassages(5_000);
  const queries = ['w17 w400', 't4999', 'w1 w2 w3 w4', 'nothing'];
  const found = (index: Bm25Index) => queries.map((query) => searchIndex(index, query, 5));

  it('keeps its index in the workspace, and another run reads it instead of making it', async () => {
    const store = memoryStore();
    const first = many();
    await keepIndex(store, first);
    const [name] = await store.list('indexes');
    expect(name).toMatch(/^[0-9a-f]{64}\.safetensors$/);
    const read = await readIndex(store, `indexes/${name}`, 5_000);
    expect(found(read!)).toEqual(found(indexOf(first)));
    let written = 0;
    const again = many();
    await keepIndex({ ...store, write: async () => void (written += 1) }, again);
    expect(written).toBe(0);
    expect(found(indexOf(again))).toEqual(found(indexOf(first)));
  });

  it('gets another file when a word of it changes, the oldest of nine go, and small corpora none', async () => {
    const store = memoryStore();
    await keepIndex(store, corpus);
    expect(await store.list('indexes')).toEqual([]);
    for (let i = 0; i < 9; i += 1) await store.write(`indexes/${i}.safetensors`, new Uint8Array(1));
    await keepIndex(store, many());
    const [changed, ...rest] = many();
    await keepIndex(store, [{ ...changed, text: `${changed.text} x` }, ...rest]);
    expect((await store.list('indexes')).length).toBe(8);
    expect((await store.list('indexes')).filter((name) => name.length > 20).length).toBe(2);
  });

  it('is indexed anew where its file is damaged in any way', async () => {
    const store = memoryStore();
    await keepIndex(store, many());
    const [name] = await store.list('indexes');
    const file = `indexes/${name}`;
    const whole = await store.read(file);
    const header = new TextDecoder().decode(whole.subarray(8, 300));
    expect(header).toContain('"format":"troupe bm25 1"');
    expect(await readIndex(store, 'indexes/none', 5_000)).toBeNull();
    expect(await readIndex(store, file, 4_999)).toBeNull();
    for (const cut of [0, 4, 100, whole.length - 3]) {
      await store.write(file, whole.subarray(0, cut));
      expect(await readIndex(store, file, 5_000)).toBeNull();
    }
    // Postings that point outside, word starts that go back.
    for (const at of [whole.length - 4, Math.floor(whole.length / 2), 8 + 400 + 4 * 5_000 + 8]) {
      const bytes = whole.slice();
      bytes.fill(0xff, at - (at % 4), at - (at % 4) + 4);
      await store.write(file, bytes);
      const read = await readIndex(store, file, 5_000);
      if (read !== null) expect(() => found(read)).not.toThrow();
    }
    await store.write(file, whole.subarray(0, 100));
    const again = many();
    await keepIndex(store, again);
    expect((await store.read(file)).length).toBe(whole.length);
    expect(found(indexOf(again)).flat().length).toBeGreaterThan(0);
  });
});

describe('the tool', () => {
  const open = (settings: Record<string, number | boolean | string>) =>
    openTool({ id: 'search', kind: 'tool', title: '', timeoutMs: 1_000, tool: 'bm25', settings });
  const context = { corpus, paragraphs: [] };

  it('gives each query its passages, without repeats, cut and limited', async () => {
    expect(
      await open({ k: 1, words: 3 }).run({ queries: ['friend of Tom', 'Mira friend', 'Reedham'] }, context),
    ).toEqual({
      passages: [
        { title: 'Mira', text: 'lives in Oakton.' },
        { title: 'Tom', text: 'lives in Reedham.' },
      ],
    });
    const all = (
      await open({ k: 2, words: 0, limit: 3, dedupe: false }).run({ queries: ['Mira', 'Mira Tom', 'Reedham'] }, context)
    ).passages as unknown as Passage[];
    expect(all.map((passage) => passage.title)).toEqual(['Mira', 'Mira', 'Tom']);
    expect(all[0].text).toBe(corpus[0].text);
  });

  it('searches the question’s own paragraphs where there is no corpus', async () => {
    expect(await open({}).run({ queries: 'dog' }, { corpus: null, paragraphs: corpus })).toMatchObject({
      passages: [{ title: 'Tom' }],
    });
    expect(() => open({}).run({ queries: ['dog'] }, { corpus: null, paragraphs: [] })).toThrow('nothing to search in');
    expect(() => open({}).run({ queries: 3 }, context)).toThrow('list of texts');
  });

  it('refuses settings and tools that do not exist', () => {
    expect(() => open({ k: 0 })).toThrow('does not take this setting');
    expect(() => openTool({ id: 'x', kind: 'tool', title: '', timeoutMs: 1, tool: 'google', settings: {} })).toThrow(
      'no tool of this name (node x): google',
    );
  });
});
