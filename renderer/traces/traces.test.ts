import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { traceSchema, type Trace, type TraceRecord } from '../../workflows/schema/trace.ts';
import { diffAt, stateBefore } from './state-diff.ts';
import { available, numbersOf, quantities, scaleOf, STRONGEST, tint, tokenFacts, visible } from './token-colours.ts';
import { auditOf, forkScene, freshSeed, parsedOutputs, scoreChange, standings, titleIn } from './forks.ts';
import { passing, testMatrixOf } from './test-matrix.ts';
import { differences, sameQuestion } from './compare.ts';
import { laneOf, lanesOf, placesInView, STEP } from './lanes.ts';
import { nextOf, placesOf, scrubberMarks, stepFrom } from './stepping.ts';
import { CARDS_MAX, detailOf, lastSpoken, levelRings, partsOf, ring, shownAround, traceScene } from './trace-scene.ts';

function record(
  node: string,
  turn: number,
  parents: string[],
  outputs: Record<string, unknown>,
  more: object = {},
): object {
  return { id: `${node}#${turn}`, node, kind: 'role', title: node, turn, parents, inputs: {}, outputs, ...more };
}
const trace: Trace = traceSchema.parse({
  troupe: 'trace',
  version: 1,
  id: '0-eval-q',
  workflow: 'w',
  phase: 'eval',
  step: 0,
  query: { id: 'q', question: 'Who?', answers: ['Mira'] },
  status: 'done',
  score: { f1: 1 },
  records: [
    record('question', 0, [], { question: 'Who?' }, { kind: 'input' }),
    record('writer', 0, ['question#0'], { text: 'a' }, { reward: -0.5, legal: false }),
    record('writer', 1, ['writer#0', 'gone#0'], { text: 'b', list: ['x', 'y'] }),
  ],
});

describe('state of a trace', () => {
  it('shows what a record adds and what it overwrites', () => {
    expect(diffAt(trace, 1).changes).toEqual([{ kind: 'added', key: 'writer.text', after: 'a' }]);
    expect(diffAt(trace, 2)).toEqual({
      changes: [
        { kind: 'changed', key: 'writer.text', before: 'a', after: 'b' },
        { kind: 'added', key: 'writer.list', after: 'x\ny' },
      ],
      unchanged: [{ key: 'question.question', value: 'Who?' }],
    });
    expect(diffAt(trace, 9)).toEqual({ changes: [], unchanged: [] });
  });
  it('knows nothing before the first record', () => {
    expect(stateBefore(trace, 0).size).toBe(0);
  });
});

describe('programs by tests', () => {
  const tested = (inputs: object, outputs: object): TraceRecord =>
    traceSchema.parse({ ...trace, records: [{ ...record('grid', 0, [], {}), kind: 'tool', inputs, outputs }] })
      .records[0];
  const tests = ['a', 'b', 'c'];

  it('are a row a program where a tool was given many, each with its errors', () => {
    const matrix = testMatrixOf(
      tested(
        { program: ['p0', 'p1'], tests },
        { passed: [[true, false, true], [true, true, false]], errors: [['', 'wrong', ''], ['', '', 'late']], rate: [0.5, 0.5] }, // prettier-ignore
      ),
    )!;
    expect(matrix.tests).toEqual(tests);
    expect(matrix.runs).toEqual([
      { program: 'p0', passed: [true, false, true], errors: ['', 'wrong', ''] },
      { program: 'p1', passed: [true, true, false], errors: ['', '', 'late'] },
    ]);
    expect([0, 1, 2].map((test) => passing(matrix, test))).toEqual([2, 1, 1]);
  });
  it('are one row for one program, and one column for one test', () => {
    const matrix = testMatrixOf(tested({ program: 'p', tests: 'a' }, { passed: [false], errors: ['wrong'] }))!;
    expect(matrix).toEqual({ tests: ['a'], runs: [{ program: 'p', passed: [false], errors: ['wrong'] }] });
  });
  it('are none for other records and for malformed ones', () => {
    expect(testMatrixOf(trace.records[0])).toBeNull();
    const programs = { program: ['p0', 'p1'], tests };
    const row = [true, true, true];
    for (const [inputs, outputs] of [
      [{ program: 'p', tests }, {}],
      [{ program: 'p', tests }, { passed: [true] }],
      [programs, { passed: row }],
      [programs, { passed: [row] }],
      [programs, { passed: [row, [true]] }],
      [{ program: [], tests }, { passed: [] }],
      [{ program: ['p', 3], tests }, { passed: [row, row] }],
    ])
      expect(testMatrixOf(tested(inputs, outputs)), JSON.stringify([inputs, outputs])).toBeNull();
  });
});

describe('forks', () => {
  const original = traceSchema.parse({
    ...trace,
    score: { f1: 1 },
    records: [
      record('question', 0, [], { question: 'Who?' }, { kind: 'input' }),
      record('writer', 0, ['question#0'], { text: 'a' }, { text: 'a' }),
      record('critic', 0, ['writer#0'], { text: 'c' }, { text: 'c' }),
      record('editor', 0, ['critic#0'], { text: 'e' }, { text: 'e' }),
    ],
  });
  const forkWith = (f1: number, change: object, id: string): Trace =>
    traceSchema.parse({
      ...original,
      ...{ id, score: { f1 }, fork: { of: original.id, record: 'writer#0', change, weights: 0 } },
      records: [
        original.records[0],
        { ...original.records[1], text: id, outputs: { text: id } },
        { ...original.records[2], text: 'd' },
        record('helper', 0, ['critic#0'], {}),
      ],
    });

  it('show what was kept, changed, other, new and gone, as one graph', () => {
    const fork = forkWith(0, { kind: 'text', text: 'b' }, 'b');
    expect([...standings(original, fork)]).toEqual([
      ...[['question#0', 'kept'], ['writer#0', 'changed'], ['critic#0', 'other'], ['helper#0', 'new']], // prettier-ignore
      ['editor#0', 'gone'],
    ]);
    const scene = forkScene(original, fork);
    expect(scene.cards.map(({ id }) => id)).toEqual(['question#0', 'writer#0', 'critic#0', 'helper#0', 'editor#0']);
    expect(scene.wires.map(({ id }) => id)).toContain('critic#0>editor#0');
  });

  it('are compared record by record, what stayed left out', () => {
    const fork = forkWith(0, { kind: 'text', text: 'b' }, 'b');
    expect(differences(original, fork).map(({ id, standing, before, after }) => [id, standing, before, after])).toEqual(
      [
        ['writer#0', 'changed', 'a', 'b'],
        ['critic#0', 'other', 'c', 'd'],
        ['helper#0', 'new', null, ''],
        ['editor#0', 'gone', 'e', null],
      ],
    );
    expect(differences(original, original)).toEqual([]);
    expect(sameQuestion(original, 'r')).toMatchObject({ query: 'q' });
    expect(sameQuestion(original, '-questions')).toMatchObject({ text: 'Who?' });
  });

  it('audit a record by its other draws alone', () => {
    const forks = [
      forkWith(1, { kind: 'seed', seed: 3 }, 'x'),
      forkWith(0, { kind: 'seed', seed: 9 }, 'y'),
      forkWith(0.5, { kind: 'text', text: 'z' }, 'z'),
    ];
    const audit = auditOf(original, 'writer#0', forks)!;
    expect(audit).toMatchObject({ given: 1, mean: 0.5, error: 0.5, worth: 0.5 });
    expect(audit.draws.map(({ id, text, outcome }) => [id, text, outcome])).toEqual([
      ['x', 'x', 1],
      ['y', 'y', 0],
    ]);
    expect(auditOf(original, 'critic#0', forks)).toBeNull();
    expect(auditOf({ ...original, status: 'dropped' }, 'writer#0', forks)).toBeNull();
    expect([freshSeed(forks), freshSeed([])]).toEqual([10, 1]);
    expect([scoreChange(original, forks[1]), titleIn(original, 'writer#0'), titleIn(original, 'x#0')]).toEqual([
      '0.00 (−1.00)',
      'writer',
      'x#0',
    ]);
  });

  it('read a tool’s result only where it is an object', () => {
    expect(parsedOutputs('{"a": 1}')).toEqual({ outputs: { a: 1 } });
    expect(parsedOutputs('[1]')).toEqual({ problem: 'object' });
    expect(parsedOutputs('{')).toHaveProperty('problem');
  });
});

describe('scene of a trace', () => {
  it('has a card for each record and wires only between records', () => {
    const scene = traceScene(trace);
    expect(scene.cards).toHaveLength(3);
    expect(scene.wires.map((wire) => wire.id)).toEqual(['question#0>writer#0', 'writer#0>writer#1']);
    expect(scene.cards[1].label).toBe('2. Role writer, reward −0.50, illegal');
    expect(scene.cards[2].label).toContain('turn 2');
  });
  it('writes one short line for what a record gave', () => {
    expect(detailOf(trace.records[0])).toBe('Who?');
    expect(detailOf({ ...trace.records[0], outputs: { list: ['x', 'y'] } })).toBe('2 × x');
    expect(detailOf({ ...trace.records[0], error: 'no documents' })).toBe('no documents');
  });
  it('draws a ring by the size and sign of the reward', () => {
    expect(ring(0.5)).toEqual({ share: 0.5, tone: 'good' });
    expect(ring(-3)).toEqual({ share: 1, tone: 'bad' });
    expect(ring(0).tone).toBe('zero');
  });
});

describe('a long trace', () => {
  const long = traceSchema.parse({
    ...trace,
    records: Array.from({ length: 2_000 }, (_, i) => ({
      ...record(
        i % 4 === 3 ? 'tool' : 'writer',
        Math.floor(i / 4),
        i ? [`${(i - 1) % 4 === 3 ? 'tool' : 'writer'}#${i - 1}`] : [],
        {},
      ),
      ...{
        id: `${i % 4 === 3 ? 'tool' : 'writer'}#${i}`,
        ...(i % 4 === 3 ? { kind: 'tool' } : { role: i % 4 ? 'b' : 'a' }),
      },
    })),
  });

  it('is drawn in parts that hold the record at hand', () => {
    expect(shownAround(30, 12)).toEqual({ from: 0, to: 30 });
    for (const at of [0, 39, 40, 1_000, 1_999]) {
      const { from, to } = shownAround(2_000, at);
      expect([to - from, at >= from && at < to]).toEqual([CARDS_MAX, true]);
    }
    const parts = partsOf(traceScene(long));
    const part = parts(shownAround(2_000, 1_000));
    expect([part.cards.length, part.wires.length]).toEqual([CARDS_MAX, CARDS_MAX - 1]);
    const later = parts(shownAround(2_000, 1_040));
    expect(later.cards.filter((one) => part.cards.includes(one))).toHaveLength(CARDS_MAX - 40);
    expect(later.places).toBe(part.places);
    const [first, second, third] = part.cards.map(({ id }) => part.places[id]);
    expect([second.x > first.x, third.x > second.x, new Set(part.cards.map(({ id }) => part.places[id].y)).size]).toEqual([true, true, 3]); // prettier-ignore
    expect(partsOf(traceScene(trace))({ from: 0, to: 1 }).cards).toHaveLength(3);
  });

  it('keeps the last tokens at hand where a record has none', () => {
    const tokens = { promptIds: [], ids: [1], pieces: ['x'], logprobs: [0], entropy: [0] };
    const records = long.records.slice(0, 4).map((one, at) => (at === 1 ? { ...one, tokens } : one));
    expect([0, 1, 3].map((at) => lastSpoken(records, at)?.id)).toEqual([undefined, 'writer#1', 'writer#1']);
  });

  it('has a lane for each role, tools and the rest, and shows those in view', () => {
    const lanes = lanesOf(long, ['b', 'a', 'silent']);
    expect(lanes).toEqual([{ kind: 'role', role: 'b' }, { kind: 'role', role: 'a' }, { kind: 'tools' }]);
    expect(long.records.slice(0, 4).map((one) => laneOf(lanes, one))).toEqual([1, 0, 0, 2]);
    expect(placesInView(2_000, 100 * STEP, 10 * STEP, 2)).toEqual({ from: 98, to: 112 });
    expect(placesInView(5, 0, 800)).toEqual({ from: 0, to: 5 });
  });

  it('is stepped through by record, turn and role', () => {
    expect([stepFrom(long, 5, 'record', 1), stepFrom(long, 0, 'record', -1)]).toEqual([6, 0]);
    expect([stepFrom(long, 5, 'turn', 1), stepFrom(long, 5, 'turn', -1)]).toEqual([8, 3]);
    expect([stepFrom(long, 5, 'role', 1), stepFrom(long, 6, 'role', 1)]).toEqual([6, 9]);
    expect([stepFrom(long, 4, 'role', -1), stepFrom(long, 0, 'role', -1), stepFrom(long, 3, 'role', 1)]).toEqual([
      0, 0, 4,
    ]);
    expect(stepFrom(long, 1_999, 'turn', 1)).toBe(1_999);
    const wrong = { records: long.records.slice(0, 9).map((one, at) => ({ ...one, ...(at === 2 ? { legal: false } : at === 7 ? { error: 'late' } : {}) })) }; // prettier-ignore
    expect([0, 2, 7].map((at) => stepFrom(wrong, at, 'problem', 1))).toEqual([2, 7, 7]);
    expect([2, 8].map((at) => stepFrom(wrong, at, 'problem', -1))).toEqual([2, 7]);
    expect(scrubberMarks(3)).toEqual([0, 1, 2]);
    expect(scrubberMarks(2_000)).toHaveLength(200);
  });
});

describe('words in a trace', () => {
  it('are found in what a record read, was told, said and gave', () => {
    const spoke = { ...trace.records[1], prompt: [{ role: 'user' as const, content: 'Tell me of Örn' }], text: 'Said' };
    const one = { records: [trace.records[0], spoke, { ...trace.records[2], error: 'no ÖRN' }] };
    expect([placesOf(one, 'örn'), placesOf(one, ' who? '), placesOf(one, 'said')]).toEqual([[1, 2], [0], [1]]);
    expect([placesOf(one, '  '), placesOf(one, 'nowhere')]).toEqual([[], []]);
  });
  it('are gone through round the ends', () => {
    expect([0, 3, 7].map((at) => nextOf([3, 7], at, 1))).toEqual([3, 7, 3]);
    expect([0, 3, 7].map((at) => nextOf([3, 7], at, -1))).toEqual([7, 7, 3]);
    expect(nextOf([], 5, 1)).toBe(5);
  });
});

describe('reward rings', () => {
  it('stand for the trajectory, the turn and the role, from the outside in', () => {
    const reward = (level: string, value: number): object => ({ level, rule: level, value, terms: {} });
    const given = [reward('role', -0.5), reward('trajectory', 1), reward('role', 0.25)] as never;
    expect(levelRings({ rewards: given, reward: 0.75 })).toEqual([
      { level: 'trajectory', reward: 1, share: 1, tone: 'good' },
      { level: 'role', reward: -0.25, share: 0.25, tone: 'bad' },
    ]);
    expect(levelRings({ rewards: [], reward: 0.5 })).toHaveLength(1);
    expect(levelRings({ rewards: [] })).toEqual([]);
  });
});

describe('token colours', () => {
  const tokens = { promptIds: [1], ids: [2, 3], pieces: ['a', ' b'], logprobs: [-0.1, -6], entropy: [0.2, 2] };
  it('never let the tone drown the text', () => {
    fc.assert(
      fc.property(fc.constantFrom(...quantities), fc.double(), (quantity, value) => {
        const { percent } = tint(value, scaleOf(quantity, [0]));
        expect(percent).toBeGreaterThanOrEqual(0);
        expect(percent).toBeLessThanOrEqual(STRONGEST);
      }),
    );
  });
  it('grow with how improbable the token was', () => {
    const scale = scaleOf('logprob', tokens.logprobs);
    expect(tint(-0.1, scale).percent).toBeLessThan(tint(-2, scale).percent);
    expect(tint(-1, scaleOf('advantage', [1])).tone).toBe('bad');
  });
  it('offer only quantities that were kept', () => {
    expect(available(tokens)).toEqual(['logprob', 'entropy']);
    expect(available({ ...tokens, oldLogprobs: [-0.1, -5.5], advantages: [1, 1] })).toEqual([
      'logprob',
      'old',
      'gap',
      'entropy',
      'advantage',
    ]);
    expect(tokenFacts({ ...tokens, advantages: [1, -1] }, 1)).toEqual([
      'log-prob −6.00',
      'probability 0.2 %',
      'entropy 2.00',
      'advantage −1.00',
    ]);
  });
  it('say what other weights make of a token: ratio, clipping and KL', () => {
    const learned = { ...tokens, oldLogprobs: [-1, -1], advantages: [1, -1], clip: 0.2 };
    const all = { ...learned, other: [-0.5, -0.5] };
    expect(available(learned)).not.toContain('ratio');
    const updated = { ...learned, newLogprobs: [-0.7, -1.3] };
    expect(available(updated)).toEqual(expect.arrayContaining(['new', 'ratio', 'clipped', 'kl']));
    expect(numbersOf(updated, 'clipped')).toEqual([1, 1]);
    expect(numbersOf({ ...updated, advantages: [0, 1] }, 'clipped')).toEqual([0, 0]);
    expect(numbersOf({ ...updated, other: [-1, -1] }, 'ratio')).toEqual([0, 0]);
    expect(available({ ...tokens, other: [-1, -1] })).toContain('kl');
    expect(numbersOf(all, 'ratio')!.map((one) => Number(one.toFixed(6)))).toEqual([0.5, 0.5]);
    expect(numbersOf(all, 'clipped')).toEqual([1, 0]); // the ratio rose: too far only where the advantage pushed it
    expect(numbersOf({ ...all, other: [-1.5, -1.5] }, 'clipped')).toEqual([0, 1]);
    expect(numbersOf({ ...all, other: [-1, -1] }, 'kl')).toEqual([0, 0]);
    fc.assert(
      fc.property(fc.double({ min: -20, max: 0, noNaN: true }), (other) => {
        expect(numbersOf({ ...all, other: [other, other] }, 'kl')![0]).toBeGreaterThanOrEqual(-1e-12);
      }),
    );
    expect(tokenFacts(all, 0).join()).toContain('log ratio +0.500 (× 1.649),clipped yes');
  });
  it('show blanks', () => {
    expect(visible(' b\n')).toBe('·b↵');
    expect(visible('')).toBe('∅');
  });
});
