/**
 * An inverted index scored by Okapi BM25 (Robertson and Zaragoza 2009, eq. 3.15; k1 1.2, b 0.75, the never negative idf of
 * Lucene). A title counts twice, once as itself and once as part of the text. Ties go to the earlier document, so a search
 * has one answer.
 */
import type { Passage } from '../schema/value.ts';

const k1 = 1.2;
const b = 0.75;

export type Bm25Index = {
  readonly documents: number;
  /** [documents] length in words. */
  readonly lengths: Float64Array;
  readonly meanLength: number;
  /** word -> [doc, count, doc, count, …] in document order. */
  readonly postings: ReadonlyMap<string, readonly number[]>;
};

export type Hit = { readonly document: number; readonly score: number };

/** Words as the index sees them: runs of letters, digits and _, in lower case. */
export function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
}

export function buildIndex(corpus: readonly Passage[]): Bm25Index {
  const lengths = new Float64Array(corpus.length);
  const postings = new Map<string, number[]>();
  let total = 0;
  corpus.forEach((passage, document) => {
    const tokens = words(`${passage.title} ${passage.title} ${passage.text}`);
    lengths[document] = tokens.length;
    total += tokens.length;
    for (const token of tokens) {
      const list = postings.get(token);
      if (list === undefined) postings.set(token, [document, 1]);
      else if (list[list.length - 2] === document) list[list.length - 1] += 1;
      else list.push(document, 1);
    }
  });
  return {
    documents: corpus.length,
    lengths,
    meanLength: corpus.length === 0 ? 1 : Math.max(total / corpus.length, 1),
    postings,
  };
}

/** The best `k` documents for a query, best first; documents without any of its words are never among them. */
export function searchIndex(index: Bm25Index, query: string, k: number): Hit[] {
  const scores = new Map<number, number>();
  for (const word of new Set(words(query))) {
    const list = index.postings.get(word);
    if (list === undefined) continue;
    const having = list.length / 2;
    const idf = Math.log(1 + (index.documents - having + 0.5) / (having + 0.5));
    for (let i = 0; i < list.length; i += 2) {
      const document = list[i];
      const count = list[i + 1];
      const norm = k1 * (1 - b + (b * index.lengths[document]) / index.meanLength);
      scores.set(document, (scores.get(document) ?? 0) + (idf * count * (k1 + 1)) / (count + norm));
    }
  }
  return best(scores, k);
}

/** Keeps a short sorted list instead of sorting thousands. */
function best(scores: ReadonlyMap<number, number>, k: number): Hit[] {
  const hits: Hit[] = [];
  for (const [document, score] of scores) {
    const worst = hits[hits.length - 1];
    if (hits.length === k && !before({ document, score }, worst)) continue;
    let at = hits.length;
    while (at > 0 && before({ document, score }, hits[at - 1])) at -= 1;
    hits.splice(at, 0, { document, score });
    if (hits.length > k) hits.pop();
  }
  return hits;
}

function before(a: Hit, c: Hit): boolean {
  return a.score > c.score || (a.score === c.score && a.document < c.document);
}
