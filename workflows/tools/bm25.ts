/**
 * The retriever: for each query the best passages of the task's corpus, or of the question's own paragraphs where there is
 * no corpus, cut to a number of words so that a small model's context holds them.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { isTextList, type Passage } from '../schema/value.ts';
import { searchIndex } from './bm25-index.ts';
import { indexOf } from './bm25-kept.ts';
import type { Tool } from './tool.ts';

const settingsSchema = z.object({
  k: z.int().min(1).max(100).default(2).describe('passages for each query'),
  words: z.int().min(0).max(10_000).default(50).describe('words kept of each passage; 0 keeps all'),
  limit: z.int().min(1).max(500).default(8).describe("passages in all, each query's best first"),
  dedupe: z.boolean().default(true).describe('a passage found twice is given once'),
});

type Settings = z.infer<typeof settingsSchema>;

/** Longest query and most queries that are searched; a model's output decides both. */
const maxQueryChars = 2_000;
const maxQueries = 64;

export const bm25: Tool<Settings> = {
  name: 'bm25',
  title: 'Search',
  description: 'Finds the passages that share the most telling words with each query (BM25).',
  settings: settingsSchema,
  ports: () => ({
    inputs: [{ name: 'queries', type: 'list', optional: false }],
    outputs: [{ name: 'passages', type: 'passages', optional: false }],
  }),
  run(inputs, settings, context) {
    const given = inputs['queries'];
    const queries = typeof given === 'string' ? [given] : isTextList(given) ? given : null;
    if (queries === null)
      throw new UserError('The search needs a list of texts as its queries; connect a list or a text');
    const corpus = context.corpus ?? context.paragraphs;
    if (corpus.length === 0)
      throw new UserError(
        'The search has nothing to search in; give the task a corpus (--corpus) or questions with paragraphs',
      );
    return { passages: retrieve(corpus, queries.slice(0, maxQueries), settings) };
  },
};

/** The best of every query first, then every query's second best, so that a limit cuts none of the queries off alone. */
function retrieve(corpus: readonly Passage[], queries: readonly string[], settings: Settings): Passage[] {
  const index = indexOf(corpus);
  const hits = queries.map((query) => searchIndex(index, query.slice(0, maxQueryChars), settings.k));
  const inTurn = Array.from({ length: settings.k }, (_, rank) =>
    hits.flatMap((list) => list.slice(rank, rank + 1)),
  ).flat();
  const documents = inTurn.map((hit) => hit.document);
  const chosen = settings.dedupe ? [...new Set(documents)] : documents;
  return chosen.slice(0, settings.limit).map((document) => cutPassage(corpus[document], settings.words));
}

function cutPassage(passage: Passage, count: number): Passage {
  if (count === 0) return { title: passage.title, text: passage.text };
  const words = passage.text.split(/\s+/u).filter(Boolean);
  return { title: passage.title, text: words.slice(0, count).join(' ') };
}
