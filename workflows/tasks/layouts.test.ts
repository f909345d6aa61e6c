import { gzipSync } from 'node:zlib';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { scoreAnswer } from '../rewards/answer.ts';
import { checkTested, passedTests } from '../rewards/passed.ts';
import { templateWorkflow } from '../templates/index.ts';
import type { TraceRecord } from '../schema/trace.ts';
import { questionTask } from './hotpot.ts';
import { loadTask } from './index.ts';
import type { Query, Task, TaskOptions } from './task.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const lines = (...rows: unknown[]): Uint8Array => bytes(rows.map((row) => JSON.stringify(row)).join('\n'));
const read = (rows: unknown[], options: TaskOptions = {}): Task =>
  questionTask({ name: 't', questions: lines(...rows), questionsName: 't.jsonl', options: { heldOut: 0, ...options } });
const first = (row: unknown, options: TaskOptions = {}): Query => read([row], options).train[0];

describe('layouts of known data sets', () => {
  it('gsm8k: the number behind ####', () => {
    const row = { question: 'How many?', answer: 'Half of 48 is 24.\n48+24 = <<48+24=72>>72.\n#### 72' };
    expect(first(row)).toEqual({ id: 'line-1', question: 'How many?', answers: ['72'] });
    expect(read([row]).metric).toBe('number');
  });

  it('svamp: a story and its question, as one JSON array', () => {
    const rows = [
      {
        ID: 'chal-1',
        Body: 'Each pack costs 76 dollars',
        Question: 'How much is it?',
        Answer: 51,
        Type: 'Subtraction',
      },
      { ID: 'chal-2', Body: 'Dan has 3.', Question: 'How many?', Answer: 1.5, Type: 'Subtraction' },
    ];
    const task = questionTask({
      name: 's',
      questions: bytes(JSON.stringify(rows)),
      questionsName: 's.json',
      options: { heldOut: 0 },
    });
    expect(task.train).toEqual([
      { id: 'chal-1', question: 'Each pack costs 76 dollars. How much is it?', answers: ['51'] },
      { id: 'chal-2', question: 'Dan has 3. How many?', answers: ['1.5'] },
    ]);
    expect(task.metric).toBe('number');
  });

  it('MATH: what the solution boxes, or the answer where it stands apart', () => {
    expect(first({ problem: 'x?', solution: 'So $x=\\boxed{\\frac{1}{2}}$.', level: 'Level 1' }).answers).toEqual([
      '\\frac{1}{2}',
    ]);
    expect(first({ problem: 'x?', solution: 's', answer: '7', unique_id: 'a/1' })).toMatchObject({
      id: 'a/1',
      answers: ['7'],
    });
  });

  it('MuSiQue: aliases count, unanswerable questions are left out', () => {
    const paragraphs = [{ idx: 0, title: 'T', paragraph_text: 'Text.', is_supporting: true }];
    const row = {
      id: 'm1',
      question: 'Who?',
      answer: 'Ann Lee',
      answer_aliases: ['A. Lee', 'Ann Lee'],
      answerable: true,
      paragraphs,
    };
    const task = read([row, { ...row, id: 'm2', answerable: false }]);
    expect(task.train).toEqual([
      { id: 'm1', question: 'Who?', answers: ['Ann Lee', 'A. Lee'], paragraphs: [{ title: 'T', text: 'Text.' }] },
    ]);
  });

  it('2WikiMultihop and HotpotQA as published: context of titles and sentences, in both forms', () => {
    const context = [['Leith', ['A port. ', 'It is old.']]];
    const wiki = {
      _id: 'w',
      type: 'compositional',
      question: 'Where?',
      context,
      supporting_facts: [['Leith', 0]],
      evidences: [],
      answer: 'Leith',
    };
    const expected = {
      id: 'w',
      question: 'Where?',
      answers: ['Leith'],
      paragraphs: [{ title: 'Leith', text: 'A port. It is old.' }],
    };
    expect(first(wiki)).toEqual(expected);
    const columns = { title: ['Leith'], sentences: [['A port. ', 'It is old.']] };
    expect(first({ ...wiki, context: columns }, { layout: '2wikimultihop' })).toEqual(expected);
  });

  it('nq-open by name: lists of answers and nothing to search in', () => {
    const row = { question: 'when?', answer: ['14 December 1972', 'December 1972'] };
    const task = read([row], { layout: 'nq-open' });
    expect([task.train[0].answers.length, task.metric, task.corpus]).toEqual([2, 'em', null]);
    expect(() => read([row])).toThrow('no corpus');
  });

  it('HumanEval: tests are data of the question and call what they check', () => {
    const row = {
      task_id: 'HumanEval/0',
      prompt: 'def twice(x):\n    """ Doubles. """\n',
      entry_point: 'twice',
      canonical_solution: '    return 2 * x\n',
      test: 'def check(candidate):\n    assert candidate(2) == 4\n',
    };
    expect(first(row)).toEqual({
      id: 'HumanEval/0',
      question: row.prompt,
      answers: [row.canonical_solution],
      values: {
        language: 'python',
        prompt: row.prompt,
        entry_point: 'twice',
        tests: 'def check(candidate):\n    assert candidate(2) == 4\n\ncheck(twice)\n',
        example_tests: '',
      },
    });
    expect(read([row]).metric).toBe('passed');
  });

  it('HumanEval-X and MBXP: JavaScript whose tests run by themselves', () => {
    const x = {
      task_id: 'JavaScript/0',
      prompt: '/* Doubles. */\nconst twice = (x) => {\n',
      declaration: '\nconst twice = (x) => {\n',
      canonical_solution: '  return 2 * x;\n}',
      test: 'console.assert(twice(2) === 4)\n',
      example_test: 'console.assert(twice(1) === 2)\n',
    };
    expect(first(x).values).toEqual({
      language: 'javascript',
      prompt: x.prompt,
      entry_point: 'twice',
      tests: x.test,
      example_tests: x.example_test,
    });
    const mbxp = {
      task_id: 'MBJSP/1',
      prompt: 'function f(a) {\n',
      entry_point: 'f',
      test: 'if (f(1) !== 1) throw 1',
      language: 'javascript',
      canonical_solution: null,
    };
    expect(first(mbxp)).toMatchObject({ answers: [''], values: { language: 'javascript', entry_point: 'f' } });
    expect(() => first({ ...x, task_id: 'Rust/0' })).toThrow('cannot be run: rust; use a file of python or javascript');
    expect(() => first({ ...x, declaration: undefined, prompt: 'what?' })).toThrow('no function is declared');
  });

  it('any other, with a mapping: fields by name, objects by dots, the rest as values', () => {
    const row = { key: 7, prompt: 'Q?', meta: { target: ['a', 'b'] }, clue: 'c' };
    const task = read([row], { map: 'question=prompt, answer=meta.target, id=key, hint=clue' });
    expect(task.train).toEqual([{ id: '7', question: 'Q?', answers: ['a', 'b'], values: { hint: 'c' } }]);
    expect(read([row], { map: 'question=prompt,answer=meta.target', metric: 'number' }).metric).toBe('number');
  });

  it.each<[string, unknown, TaskOptions, string]>([
    ['an unmarked solution', { problem: 'x', solution: 'It is 3.' }, {}, 'not marked by "####"'],
    [
      'a layout that is none',
      { question: 'q', answer: 'a' },
      { layout: 'squid' },
      'no layout of this name: "squid"; use code, svamp',
    ],
    [
      'a metric that is none',
      { question: 'q', answer: 'a' },
      { metric: 'bleu' },
      'no metric of this name: "bleu"; use f1, em, number, passed',
    ],
    ['a mapping that is none', { a: 1 }, { map: 'question' }, 'Not a mapping: question'],
    ['a mapping without answer', { a: 1 }, { map: 'question=a' }, 'says nothing of the answer'],
    ['a mapping that repeats', { a: 1 }, { map: 'question=a,question=b,answer=a' }, 'names question twice'],
    [
      'a missing field',
      { a: 'x' },
      { map: 'question=a,answer=b.c' },
      'no field b.c, which the mapping takes for answer; it has a',
    ],
    ['a mapping and a layout', { a: 'x' }, { map: 'question=a,answer=a', layout: 'math' }, 'give one'],
    ['a context that is none', { question: 'q', answer: 'a', context: [7] }, {}, '"text" must be a text'],
  ])('refuses %s', (_, row, options, message) => {
    expect(() => read([row], options)).toThrow(UserError);
    expect(() => read([row], options)).toThrow(message);
  });

  it('reads packed files, and names a damaged one', async () => {
    const packed = new Uint8Array(gzipSync(lines({ question: 'q', answer: 'w\n#### 1' })));
    const load = (file: Uint8Array) =>
      loadTask({ name: 'x/mine.jsonl.gz', read: async () => file, options: { heldOut: 0 } });
    expect(await load(packed)).toMatchObject({ name: 'mine', metric: 'number', train: [{ answers: ['1'] }] });
    await expect(load(packed.slice(0, 20))).rejects.toThrow('The packed file is damaged: x/mine.jsonl.gz');
  });
});

describe('a task’s own metric', () => {
  it('is what templates reward on it', () => {
    const rule = (metric?: 'number') =>
      templateWorkflow('single-agent', metric ? { metric } : {}).rewards.rules[0].value;
    expect(rule()).toEqual({ kind: 'score', metric: 'f1' });
    expect(rule('number')).toEqual({ kind: 'score', metric: 'number' });
    expect(scoreAnswer('It is 18 dollars.', ['18'], 'number')).toMatchObject({ em: 0, number: 1 });
    expect(scoreAnswer('18', ['18'])).toEqual({ f1: 1, em: 1 });
  });

  it('of programs is what the tests said last', () => {
    const nodes = [{ id: 'check', kind: 'tool', tool: 'unit-tests', settings: {}, title: '', timeoutMs: 1 }] as const;
    const record = (node: string, rate: unknown) =>
      ({ node, outputs: { report: 'x', rate } }) as unknown as TraceRecord;
    const workflow = { name: 'w', nodes: [...nodes] };
    expect(passedTests(workflow, [record('check', 0.25), record('check', 0.5), record('other', 1)])).toEqual({
      passed: 0,
      tests: 0.5,
      rounds: 2,
    });
    expect(passedTests(workflow, [record('check', 1)])).toEqual({ passed: 1, tests: 1, rounds: 1 });
    expect(passedTests(workflow, [])).toEqual({ passed: 0, tests: 0, rounds: 0 });
    expect(() => checkTested({ name: 'w', nodes: [] }, { name: 'humaneval', metric: 'passed' })).toThrow(
      'no node of the tool unit-tests',
    );
    expect(() => checkTested({ name: 'w', nodes: [] }, { name: 'gsm8k', metric: 'number' })).not.toThrow();
  });
});

const tasks = `${process.env['TROUPE_SHARED'] ?? '../shared'}/data/tasks`;
describe.skipIf(!existsSync(tasks))('published files (skipped where ../shared/data is absent)', () => {
  const load = (file: string, options: TaskOptions = {}) =>
    loadTask({ name: `${tasks}/${file}`, read: async (path) => new Uint8Array(readFileSync(path)), options });

  it.each<[string, TaskOptions, string, number, number]>([
    ['gsm8k/test.jsonl', {}, 'number', 1_219, 100],
    ['svamp/SVAMP.json', {}, 'number', 900, 100],
    ['nq_open/NQ-open.dev.jsonl', { layout: 'nq-open' }, 'em', 3_510, 100],
    ['humaneval/HumanEval.jsonl.gz', { heldOut: 64 }, 'passed', 100, 64],
    ['humaneval/humaneval_x_js.jsonl.gz', { heldOut: 64 }, 'passed', 100, 64],
    ['mbxp/mbjsp_release_v1.2.jsonl', {}, 'passed', 866, 100],
    ['mbxp/mbpp_release_v1.jsonl', {}, 'passed', 874, 100],
    ['hotpot500/hotpot_train500.jsonl', {}, 'f1', 400, 100],
  ])('%s', async (file, options, metric, train, heldOut) => {
    const task = await load(file, options);
    expect([task.metric, task.train.length, task.heldOut.length]).toEqual([metric, train, heldOut]);
    const right = task.heldOut.filter(
      ({ answers }) => scoreAnswer(answers[0], answers, task.metric).number === 1,
    ).length;
    expect(right).toBe(metric === 'number' ? heldOut : 0);
    if (metric === 'passed')
      for (const { values } of [...task.train, ...task.heldOut])
        expect(String(values!['tests'])).toContain(String(values!['entry_point']));
  });
});
