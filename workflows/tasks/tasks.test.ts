import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { buildIndex, searchIndex } from '../tools/bm25-index.ts';
import { questionTask, type QuestionFile } from './hotpot.ts';
import { templateNames, templateWorkflow } from '../templates/index.ts';
import { loadTask, taskSummaries } from './index.ts';
import { ownTask } from './own-task.ts';
import type { Query } from './task.ts';
import { makeVillage } from './village.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const lines = (...objects: unknown[]): Uint8Array => bytes(objects.map((each) => JSON.stringify(each)).join('\n'));
const corpus = lines({ title: 'Leith', text: 'A port.' });
const read = (questions: Uint8Array, more: Partial<QuestionFile> = {}) =>
  questionTask({ name: 'mine', questions, questionsName: 'mine.jsonl', corpus, corpusName: 'corpus.jsonl', ...more });
const numbered = (count: number): unknown[] =>
  Array.from({ length: count }, (_, i) => ({ id: `q${i}`, question: `question ${i}?`, answer: `${i}` }));
const ids = (queries: readonly Query[]): string[] => queries.map((query) => query.id);

describe('questions from a file', () => {
  it('reads answers as a text or a list, own paragraphs, numbers and missing ids', () => {
    const task = read(
      lines(
        { id: 'a', question: 'One?', answer: 'x', extra: 1 },
        { id: 2, question: 'Two?', answer: ['x', 'y'] },
        { question: 'Three?', answers: ['z'] },
        { _id: 'd', question: 'Four?', answer: 4, paragraphs: [{ title: 'T', text: 'Text.', is_gold: true }] },
      ),
      { options: { heldOut: 0 } },
    );
    expect(task.train).toEqual([
      { id: 'a', question: 'One?', answers: ['x'] },
      { id: '2', question: 'Two?', answers: ['x', 'y'] },
      { id: 'line-3', question: 'Three?', answers: ['z'] },
      { id: 'd', question: 'Four?', answers: ['4'], paragraphs: [{ title: 'T', text: 'Text.' }] },
    ]);
    expect(task.corpus).toEqual([{ title: 'Leith', text: 'A port.' }]);
  });

  it('takes empty lines, Windows line ends and a byte order mark', () => {
    const text = `\ufeff${JSON.stringify({ id: 'a', question: 'q', answer: 'x' })}\r\n\r\n${JSON.stringify({ id: 'b', question: 'q', answer: 'x' })}\r\n`;
    expect(read(bytes(text), { options: { heldOut: 0 } }).train.length).toBe(2);
  });

  it('holds out by hash: stable under order, 100 unless told otherwise', () => {
    const all = numbered(500);
    const task = read(lines(...all));
    expect([task.train.length, task.heldOut.length]).toEqual([400, 100]);
    expect(ids(read(lines(...[...all].reverse())).heldOut).sort()).toEqual(ids(task.heldOut).sort());
    expect(ids(task.train).filter((id) => ids(task.heldOut).includes(id))).toEqual([]);
    expect(read(lines(...all), { options: { heldOut: 0.1 } }).heldOut.length).toBe(50);
    const more = ids(read(lines(...all), { options: { heldOut: 200 } }).heldOut);
    expect(ids(task.heldOut).every((id) => more.includes(id))).toBe(true);
    expect(read(lines(...numbered(10))).heldOut.length).toBe(5);
  });

  it.each<[string, Uint8Array, Partial<QuestionFile>, string]>([
    ['no JSON', bytes('{"id": 1,\n'), {}, 'mine.jsonl, line 1: not JSON'],
    ['a list', bytes('[1]'), {}, 'line 1: not an object'],
    ['not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), {}, 'not UTF-8'],
    ['no question', lines({ id: 'a', answer: 'x' }), {}, '"question" must be a text: nothing'],
    ['an empty question', lines({ id: 'a', question: ' ', answer: 'x' }), {}, '"question" is empty'],
    [
      'no answer',
      lines({ id: 'a', question: 'q', answer: 'x' }, { id: 'b', question: 'q' }),
      {},
      'line 2: "answer" must be',
    ],
    ['an empty answer list', lines({ id: 'a', question: 'q', answer: [] }), {}, '"answer" must be'],
    ['an object as id', lines({ id: {}, question: 'q', answer: 'x' }), {}, 'an id must be a text'],
    [
      'the same id twice',
      lines({ id: 'a', question: 'q', answer: 'x' }, { id: 'a', question: 'r', answer: 'y' }),
      {},
      'line 2: the id of line 1 comes again: a',
    ],
    ['an empty file', bytes('\n\n'), {}, 'no question in this file'],
    [
      'bad paragraphs',
      lines({ id: 'a', question: 'q', answer: 'x', paragraphs: [{ title: 't' }] }),
      {},
      'paragraph 1, line 1: "text" must be',
    ],
    [
      'a bad corpus',
      lines({ id: 'a', question: 'q', answer: 'x' }),
      { corpus: bytes('{"title":"t"}') },
      'corpus.jsonl, line 1: "text" must be a text',
    ],
    [
      'an empty corpus',
      lines({ id: 'a', question: 'q', answer: 'x' }),
      { corpus: bytes('') },
      'no passage in this corpus',
    ],
    [
      'neither corpus nor paragraphs',
      lines({ id: 'a', question: 'q', answer: 'x' }),
      { corpus: undefined },
      'bring no paragraphs and there is no corpus',
    ],
    [
      'too many held out',
      lines({ id: 'a', question: 'q', answer: 'x' }),
      { options: { heldOut: 2 } },
      'heldOut is more than the 1 questions',
    ],
    [
      'a foolish share',
      lines({ id: 'a', question: 'q', answer: 'x' }),
      { options: { heldOut: -1 } },
      'heldOut must be',
    ],
    [
      'an unknown option',
      lines({ id: 'a', question: 'q', answer: 'x' }),
      { options: { holdout: 3 } },
      'no option of this name: holdout',
    ],
  ])('refuses %s with file and line', (_, questions, more, message) => {
    expect(() => read(questions, more)).toThrow(UserError);
    expect(() => read(questions, more)).toThrow(message);
  });

  it('never throws anything but a UserError on damaged files', () => {
    const good = lines(...numbered(3));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.uint8Array({ maxLength: 40 }),
        (changes, tail) => {
          const damaged = new Uint8Array([...good, ...tail]);
          for (const [at, value] of changes) damaged[at] = value;
          try {
            read(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a team’s own task', () => {
  it('brings tests where the team runs tests', () => {
    const own = templateNames.filter((name) => ownTask(templateWorkflow(name)) === 'village-code');
    expect(own).toEqual(['coder-verifier', 'plan-code-verify-reflect']);
  });
});

describe('loadTask', () => {
  it('reads files through the caller, and says what there is for an unknown name', async () => {
    const files: Record<string, Uint8Array> = { '/x/my questions.jsonl': lines(...numbered(4)), '/x/c.jsonl': corpus };
    const task = await loadTask({
      name: '/x/my questions.jsonl',
      corpus: '/x/c.jsonl',
      options: { heldOut: 1 },
      read: async (path) => files[path],
    });
    expect([task.name, task.train.length, task.heldOut.length, task.corpus?.length]).toEqual(['my questions', 3, 1, 1]);
    await expect(loadTask({ name: 'hotpto' })).rejects.toThrow(
      'no task of this name: hotpto; use village-qa, village-code or the path',
    );
    await expect(loadTask({ name: 'village-qa', corpus: 'x' })).rejects.toThrow('brings its own corpus');
    await expect(loadTask({ name: 'village-qa', options: { seed: 'x' } })).rejects.toThrow('seed must be');
    expect(taskSummaries()).toMatchObject([
      { name: 'village-qa', train: 1680, heldOut: 552 },
      { name: 'village-code', train: 382, heldOut: 118 },
    ]);
  });
});

describe('village-qa and its search', () => {
  it('can be solved by searching for the person and not by searching for the whole question', async () => {
    const task = await loadTask({ name: 'village-qa' });
    const index = buildIndex(task.corpus!);
    const titleOf = (search: string): string => task.corpus![searchIndex(index, search, 1)[0].document].title;
    const { heldOut } = makeVillage();
    const found = heldOut.filter((question) => titleOf(question.search) === question.subject).length / heldOut.length;
    const wholes =
      heldOut.filter((question) => titleOf(question.question) === question.subject).length / heldOut.length;
    expect(found).toBeGreaterThan(0.95);
    expect(wholes).toBeLessThan(0.05);
  });
});

const hotpot = `${process.env['TROUPE_SHARED'] ?? '../shared'}/data/tasks/hotpot500`;
describe.skipIf(!existsSync(hotpot))('hotpot500 (skipped where ../shared/data is absent)', () => {
  it('splits 400 to 100 and finds a gold paragraph in the top two for nine questions of ten', () => {
    const file = readFileSync(`${hotpot}/hotpot_train500.jsonl`);
    const task = questionTask({
      name: 'hotpot500',
      questions: file,
      questionsName: 'q',
      corpus: readFileSync(`${hotpot}/corpus.jsonl`),
      corpusName: 'c',
    });
    expect([task.train.length, task.heldOut.length, task.corpus!.length]).toEqual([400, 100, 4_968]);
    type Source = { id: string; paragraphs: { title: string; is_gold: boolean }[] };
    const sources = new TextDecoder()
      .decode(file)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Source);
    const gold = new Map(
      sources.map((source) => [
        source.id,
        new Set(source.paragraphs.filter((each) => each.is_gold).map((each) => each.title)),
      ]),
    );
    const index = buildIndex(task.corpus!);
    const queries = [...task.train, ...task.heldOut];
    const found = queries.filter((query) =>
      searchIndex(index, query.question, 2).some((hit) => gold.get(query.id)!.has(task.corpus![hit.document].title)),
    );
    expect(found.length / queries.length).toBeGreaterThan(0.9);
  });
});
