/**
 * An inverted index scored by Okapi BM25 (Robertson and Zaragoza 2009, eq. 3.15; k1 1.2, b 0.75, the never negative idf of
 * Lucene). A title counts twice, once as itself and once as part of the text. Ties go to the earlier document, so a search
 * has one answer. Everything but the words lies in flat arrays, which are what is kept on disk.
 */
import type { Passage } from '../schema/value.ts';

const k1 = 1.2;
const b = 0.75;

export type Bm25Index = {
  /** word -> its place in `starts`, in the order words were first met. */
  readonly words: ReadonlyMap<string, number>;
  /** [documents] length in words. */
  readonly lengths: Int32Array;
  /** [words + 1] where each word's postings begin; the last is their number. */
  readonly starts: Int32Array;
  /** [postings] in document order for each word. */
  readonly documents: Int32Array;
  /** [postings] how often the word stands in the document. */
  readonly counts: Int32Array;
};

export type Hit = { readonly document: number; readonly score: number };

/** Words as the index sees them: runs of letters, digits and _, in lower case. */
export function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
}

export function buildIndex(corpus: readonly Passage[]): Bm25Index {
  const known = new Map<string, number>();
  const lengths = new Int32Array(corpus.length);
  const found = { word: new Growing(), document: new Growing(), count: new Growing() };
  /** By word: its posting in the document that is being read. */
  const latest = new Growing();
  corpus.forEach(({ title, text }, document) => {
    const titled = words(title);
    for (const token of [...titled, ...titled, ...words(text)]) {
      lengths[document] += 1;
      const word = known.get(token) ?? known.size;
      if (word === known.size) {
        known.set(token, word);
        latest.push(-1);
      }
      const posting = latest.items[word];
      if (posting >= 0 && found.document.items[posting] === document) found.count.items[posting] += 1;
      else {
        latest.items[word] = found.word.length;
        found.word.push(word);
        found.document.push(document);
        found.count.push(1);
      }
    }
  });
  return { words: known, lengths, ...byWord(found, known.size) };
}

/** A counting sort, which keeps the order of documents. */
function byWord(
  { word, document, count }: Record<'word' | 'document' | 'count', Growing>,
  total: number,
): Pick<Bm25Index, 'starts' | 'documents' | 'counts'> {
  const starts = new Int32Array(total + 1);
  for (let i = 0; i < word.length; i += 1) starts[word.items[i] + 1] += 1;
  for (let i = 0; i < total; i += 1) starts[i + 1] += starts[i];
  const next = starts.slice();
  const documents = new Int32Array(word.length);
  const counts = new Int32Array(word.length);
  for (let i = 0; i < word.length; i += 1) {
    const at = next[word.items[i]]++;
    documents[at] = document.items[i];
    counts[at] = count.items[i];
  }
  return { starts, documents, counts };
}

/** Whole numbers that are added at the end. */
class Growing {
  items = new Int32Array(1_024);
  length = 0;
  push(value: number): void {
    if (this.length === this.items.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.items);
      this.items = larger;
    }
    this.items[this.length++] = value;
  }
}

type Scorer = { readonly norms: Float64Array; readonly scores: Float64Array };
const scorers = new WeakMap<Bm25Index, Scorer>();

/** What depends on documents alone, and room for the scores of one search. */
function scorerOf(index: Bm25Index): Scorer {
  const known = scorers.get(index);
  if (known !== undefined) return known;
  const { lengths } = index;
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const mean = lengths.length === 0 ? 1 : Math.max(total / lengths.length, 1);
  const norms = Float64Array.from(lengths, (length) => k1 * (1 - b + (b * length) / mean));
  const scorer = { norms, scores: new Float64Array(lengths.length) };
  scorers.set(index, scorer);
  return scorer;
}

/** The best `k` documents for a query, best first; documents without any of its words are never among them. */
export function searchIndex(index: Bm25Index, query: string, k: number): Hit[] {
  const { norms, scores } = scorerOf(index);
  const touched: number[] = [];
  for (const word of new Set(words(query))) {
    const at = index.words.get(word);
    if (at === undefined) continue;
    const [start, end] = [index.starts[at], index.starts[at + 1]];
    const idf = Math.log(1 + (norms.length - (end - start) + 0.5) / (end - start + 0.5));
    for (let i = start; i < end; i += 1) {
      const document = index.documents[i];
      const count = index.counts[i];
      if (scores[document] === 0) touched.push(document);
      scores[document] += (idf * count * (k1 + 1)) / (count + norms[document]);
    }
  }
  const hits = best(touched, scores, k);
  for (const document of touched) scores[document] = 0;
  return hits;
}

/** Keeps a short sorted list instead of sorting thousands. */
function best(touched: readonly number[], scores: Float64Array, k: number): Hit[] {
  const hits: Hit[] = [];
  for (const document of touched) {
    const hit = { document, score: scores[document] };
    if (hits.length === k && !before(hit, hits[hits.length - 1])) continue;
    let at = hits.length;
    while (at > 0 && before(hit, hits[at - 1])) at -= 1;
    hits.splice(at, 0, hit);
    if (hits.length > k) hits.pop();
  }
  return hits;
}

function before(a: Hit, c: Hit): boolean {
  return a.score > c.score || (a.score === c.score && a.document < c.document);
}
