/**
 * A JavaScript program that searches: the sandbox has no way out, so a program that asks for searches is ended, they are done
 * here with BM25, and it is run again with their results, until it needs no more or has asked too often.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { Json, Passage } from '../schema/value.ts';
import { cutPassage } from './bm25.ts';
import { searchIndex } from './bm25-index.ts';
import { indexOf } from './bm25-kept.ts';
import { limitsOf, memoryMb, timeMs } from './program.ts';
import { runProgram } from './sandbox/run.ts';
import { searchLibrary } from './search-library.ts';
import { ToolError, type Tool, type ToolContext } from './tool.ts';

const settingsSchema = z.object({
  timeMs: timeMs.default(2_000).describe('longest run of the program, in milliseconds, each time it is run'),
  memoryMb,
  outputChars: z.int().min(1).max(100_000).default(2_000).describe('characters of printed text that are kept'),
  rounds: z.int().min(0).max(16).default(6).describe('how often the program may ask for searches'),
  queries: z.int().min(1).max(64).default(16).describe('queries one batch may have'),
  words: z.int().min(1).max(1_000).default(50).describe('words kept of each passage'),
});

type Settings = z.infer<typeof settingsSchema>;

/** Passages that are handed over in all: what a program reads is bounded with them. */
const maxPassages = 400;
/** Printed behind a mark, so that no program's own words are taken for a search. */
const searchChars = 40_000;

export const searchProgram: Tool<Settings> = {
  name: 'search-program',
  title: 'Search program',
  description: 'Runs a JavaScript program that searches with generateKeywords, batchSearch and check.',
  settings: settingsSchema,
  ports: () => ({
    inputs: [
      { name: 'program', type: 'text', optional: false },
      { name: 'data', type: 'json', optional: true },
    ],
    outputs: [
      { name: 'output', type: 'text', optional: false },
      { name: 'error', type: 'text', optional: false },
      { name: 'searches', type: 'list', optional: false },
    ],
  }),
  async run({ program, data = null }, settings, context) {
    if (typeof program !== 'string') throw new UserError('The sandbox needs a text as its program; connect a text');
    const results = new Map<string, Passage[]>();
    for (let round = 0; ; round += 1) {
      const mark = `search ${crypto.randomUUID()} `;
      const given = { passages: data, results: Object.fromEntries(results), mark, most: settings.queries };
      const limits = { ...limitsOf(settings), outputChars: settings.outputChars + searchChars };
      const request = { program: `${searchLibrary} ${program}`, test: null, data: JSON.stringify(given), limits };
      const { ok, output, error } = await runProgram('javascript', request, context.signal);
      const wanted = wantedIn(output, mark);
      const searches = [...results.keys()].map(queryOf);
      const kept = { output: printed(output, mark).slice(0, settings.outputChars), searches };
      if (wanted.length === 0 && ok) return { ...kept, error: '' };
      if (wanted.length === 0) throw new ToolError(error!, { ...kept, error: error! });
      if (round >= settings.rounds) {
        const late = `the program asks for searches more than ${settings.rounds} times`;
        throw new ToolError(late, { ...kept, error: late });
      }
      search(results, wanted, settings, context);
    }
  },
};

/** Keys are "<k> <query>", as the library writes them. */
function queryOf(key: string): string {
  return key.slice(key.indexOf(' ') + 1);
}

function wantedIn(output: string, mark: string): string[] {
  const line = output.split('\n').find((each) => each.startsWith(mark));
  if (line === undefined) return [];
  try {
    const keys: Json = JSON.parse(line.slice(mark.length)) as Json;
    return Array.isArray(keys) ? keys.filter((key) => typeof key === 'string') : [];
  } catch {
    return []; // cut off by the limit on what is printed
  }
}

function printed(output: string, mark: string): string {
  return output
    .split('\n')
    .filter((line) => !line.startsWith(mark))
    .join('\n');
}

function search(
  results: Map<string, Passage[]>,
  keys: readonly string[],
  { words, queries }: Settings,
  { corpus, paragraphs }: ToolContext,
): void {
  const from = corpus ?? paragraphs;
  if (from.length === 0)
    throw new UserError(
      'The search has nothing to search in; give the task a corpus (--corpus) or questions with paragraphs',
    );
  for (const key of keys.slice(0, queries)) {
    const held = [...results.values()].reduce((sum, list) => sum + list.length, 0);
    const k = Math.max(0, Math.min(10, Number.parseInt(key, 10) || 1, maxPassages - held));
    const hits = k === 0 ? [] : searchIndex(indexOf(from), queryOf(key).slice(0, 500), k);
    results.set(
      key,
      hits.map(({ document }) => cutPassage(from[document], words)),
    );
  }
}
