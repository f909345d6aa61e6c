/**
 * More than a thousand damaged, truncated, hostile and future files of every kind, opened as the screens and the terminal
 * open them: each opens or is refused with one clear sentence that names it, and nothing on disk changes.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../engine/errors.ts';
import { createController, type Controller } from './controller.ts';
import { lint } from './schema/lint.ts';
import { parseCast, parseWorkflow } from './schema/migrate.ts';
import { traceSchema, type Trace } from './schema/trace.ts';
import { templateWorkflow } from './templates/index.ts';
import { presetCast } from './train/cast.ts';
import { configOf, downloadsInto } from './train/test-support.ts';
import { jsonBytes, paths, readAs } from './workspace/layout.ts';
import { damaged, numbersFrom } from './workspace/mutator.ts';
import { writeFork } from './workspace/forks.ts';
import { appendMetrics, writeRun, writeState } from './workspace/runs.ts';
import { openNodeStore } from './workspace/store.node.ts';
import { writeTraces } from './workspace/traces.ts';

const TRACE = '2-train-q1';
const FORK = `${TRACE}.fork-1`;
/** On a busy machine; what this catches is time that grows with a power of what a file claims. */
const longestMs = 20_000;
const longestSentence = 500;

const trace = (id: string, extra: Partial<Trace> = {}): Trace =>
  traceSchema.parse({
    troupe: 'trace',
    version: 1,
    id,
    workflow: 'own-team',
    phase: 'train',
    step: 2,
    query: { id: 'q1', question: 'Where is Örn?', answers: ['here'] },
    status: 'done',
    answer: 'there',
    score: { f1: 0.5, em: 0 },
    records: [
      {
        id: 'start#0',
        node: 'start',
        kind: 'input',
        title: '',
        turn: 0,
        parents: [],
        inputs: {},
        outputs: { question: 'q' },
      },
      {
        id: 'solve#0',
        node: 'solve',
        kind: 'role',
        title: '',
        turn: 0,
        parents: ['start#0'],
        inputs: { question: 'q' },
        outputs: { answer: 'there' },
        role: 'solver',
        policy: 'team',
        text: 'there',
        legal: true,
        length: 2,
        reward: 0.5,
        rewards: [{ level: 'trajectory', rule: 'f1', value: 0.5, terms: { f1: 0.5 } }],
        tokens: { promptIds: [1, 2], ids: [3, 4], pieces: ['the', 're'], logprobs: [-1, -2], entropy: [1, 2] },
      },
    ],
    ...extra,
  });

/** Each kind of file: where it stands, and what a person opens that reads it. */
type Kind = { file: string; count: number; open: ((controller: Controller) => Promise<unknown>)[] };

const runCalls: Kind['open'] = [
  (c) => c.runs(),
  (c) => c.run('r'),
  (c) => c.traces('r', {}),
  (c) => c.trace('r', TRACE),
];
const kinds: Kind[] = [
  {
    file: paths.workflow('own-team'),
    count: 320,
    open: [(c) => c.workflows(), (c) => c.workflow('own-team').then(usable), (c) => c.workflow('elsewhere.json')],
  },
  { file: paths.config('r'), count: 220, open: runCalls },
  { file: paths.state('r'), count: 60, open: runCalls },
  { file: paths.metrics('r'), count: 80, open: runCalls },
  { file: paths.traceLines('r', 2), count: 440, open: runCalls },
  { file: paths.traceIndex('r', 2), count: 160, open: runCalls },
  { file: paths.traceTokens('r', 2), count: 160, open: runCalls },
  { file: paths.fork('r', 2, 1), count: 280, open: [(c) => c.forks('r', TRACE), (c) => c.trace('r', FORK)] },
];

/** What opened can be drawn, sent to a screen, and saved again. */
function usable(workflow: unknown): void {
  const parsed = parseWorkflow(JSON.parse(JSON.stringify(structuredClone(workflow))));
  lint(parsed);
}

describe('files that are not what they should be', () => {
  let folder: string;
  let controller: Controller;
  const notices: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-hostile-'));
    const store = openNodeStore(folder);
    const workflow = { ...templateWorkflow('qd-answer'), name: 'own-team' };
    await store.write(paths.workflow('own-team'), jsonBytes(workflow));
    await writeRun(store, configOf());
    await writeState(store, 'r', { state: 'paused', step: 2 });
    for (const step of [0, 1, 2])
      await appendMetrics(store, 'r', { step, rollout: { f1: 1 }, roles: {}, policies: {}, notes: [], timing: {} });
    await writeTraces(store, 'r', 2, [trace(TRACE), trace('2-train-q2')]);
    const change = { kind: 'seed', seed: 3 } as const;
    await writeFork(store, 'r', trace(FORK, { fork: { of: TRACE, record: 'solve#0', change, weights: 0 } }));
    controller = createController(
      {
        startEngine: () => Promise.reject(new Error('no engine is needed to open a file')),
        device: 'cpu',
        downloads: downloadsInto(store),
        software: {},
        places: { store, bundled: {}, refOf: async (inside) => ({ kind: 'path', path: inside }) },
        readFile: () => readFile(path.join(folder, paths.workflow('own-team'))),
      },
      {
        onJob() {},
        onStep() {},
        onText() {},
        onTurns() {},
        onDownload() {},
        onNotice: ({ text }) => notices.push(text),
      },
    );
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function snapshot(): Promise<string> {
    const hash = createHash('sha256');
    for (const entry of (await readdir(folder, { recursive: true, withFileTypes: true })).sort((a, b) =>
      `${a.parentPath}/${a.name}`.localeCompare(`${b.parentPath}/${b.name}`),
    )) {
      hash.update(`${entry.parentPath}/${entry.name}\0`);
      if (entry.isFile()) hash.update(await readFile(path.join(entry.parentPath, entry.name)));
    }
    return hash.digest('hex');
  }

  function judge(text: string, what: string): void {
    expect(text, what).not.toMatch(/\n|undefined|\[object|RangeError|TypeError|Unexpected token/);
    expect(text.length, `${what}: ${text}`).toBeLessThan(longestSentence);
  }

  /** Opens one damaged file in every way; returns how many of them refused it. */
  async function open(kind: Kind, what: string): Promise<number> {
    let refusals = 0;
    for (const call of kind.open) {
      notices.length = 0;
      const began = performance.now();
      const failure = await call(controller).then(
        () => null,
        (error: unknown) => error,
      );
      expect(performance.now() - began, what).toBeLessThan(longestMs);
      for (const notice of notices) judge(notice, what);
      if (failure === null) continue;
      if (!(failure instanceof UserError)) throw new Error(`${what}: not a sentence for people`, { cause: failure });
      judge(failure.message, what);
      refusals += 1;
    }
    return refusals;
  }

  it.each(kinds)(
    'open or are refused in a sentence: $count of $file',
    async (kind) => {
      const whole = new Uint8Array(await readFile(path.join(folder, kind.file)));
      expect(await open(kind, 'the undamaged file')).toBe(0);
      let refused = 0;
      try {
        for (let n = 0; n < kind.count; n++) {
          const seed = kinds.indexOf(kind) * 10_000 + n;
          await writeFile(path.join(folder, kind.file), damaged(whole, kind.file, numbersFrom(seed)));
          const before = await snapshot();
          refused += (await open(kind, `${kind.file}, seed ${seed}`)) > 0 ? 1 : 0;
          expect(await snapshot(), `${kind.file}, seed ${seed}`).toBe(before);
        }
      } finally {
        await writeFile(path.join(folder, kind.file), whole);
      }
      expect(await open(kind, 'the mended file')).toBe(0);
      // State and metrics are only remembered: what cannot be read of them is left out.
      const forgiving = kind.file === paths.state('r') || kind.file === paths.metrics('r');
      if (forgiving) expect(refused).toBe(0);
      // A damaged index is read off the traces; only one that names wrong places in their file cannot be told from a good one.
      else if (kind.file === paths.traceIndex('r', 2)) expect(refused).toBeLessThan(kind.count / 10);
      else expect(refused).toBeGreaterThan(kind.count / 2);
      expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    },
    300_000,
  );

  it('are more than a thousand of traces alone', () => {
    const ofTraces = kinds.filter(({ file }) => file.includes('/traces/') || file.includes('/forks/'));
    expect(ofTraces).toHaveLength(4);
    expect(ofTraces.reduce((sum, kind) => sum + kind.count, 0)).toBeGreaterThanOrEqual(1_000);
  });

  it('casts in files are read or refused in a sentence that names the file', () => {
    const whole = jsonBytes(presetCast(templateWorkflow('qd-answer'), 'separate', 'nano', { kind: 'full' }));
    let refused = 0;
    for (let seed = 0; seed < 200; seed++) {
      try {
        readAs(parseCast, damaged(whole, 'cast.json', numbersFrom(seed)), 'cast.json');
      } catch (error) {
        if (!(error instanceof UserError)) throw new Error(`seed ${seed}`, { cause: error });
        judge(error.message, `seed ${seed}`);
        expect(error.message).toContain('cast.json');
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  it('from a newer Troupe say so and what to do', async () => {
    const cases = [
      [paths.workflow('own-team'), () => controller.workflow('own-team')],
      [paths.config('r'), () => controller.run('r')],
      [paths.fork('r', 2, 1), () => controller.trace('r', FORK)],
    ] as const;
    for (const [file, call] of cases) {
      const whole = await readFile(path.join(folder, file));
      await writeFile(path.join(folder, file), JSON.stringify({ ...JSON.parse(whole.toString()), version: 99 }));
      await expect(call()).rejects.toThrow(`${file}: The`);
      await expect(call()).rejects.toThrow(/comes from a newer Troupe: version 99.*update Troupe/);
      await writeFile(path.join(folder, file), whole);
    }
    const lines = path.join(folder, paths.traceLines('r', 2));
    const whole = await readFile(lines);
    await writeFile(lines, whole.toString().replaceAll('"version":1', '"version":9')); // of the length that the index says
    await expect(controller.trace('r', TRACE)).rejects.toThrow(
      /^runs.*jsonl: The trace comes from a newer Troupe: version 9/,
    );
    await writeFile(lines, whole);
  });

  it('keep to their own place, whatever name they claim', async () => {
    const file = path.join(folder, paths.config('r'));
    const whole = await readFile(file);
    await writeFile(file, JSON.stringify({ ...JSON.parse(whole.toString()), id: '../other' }));
    expect((await controller.run('r')).config.id).toBe('r');
    await writeFile(file, whole);
    const team = path.join(folder, paths.workflow('own-team'));
    const drawn = await readFile(team);
    await writeFile(team, JSON.stringify({ ...JSON.parse(drawn.toString()), name: 'another' }));
    expect((await controller.workflow('own-team')).name).toBe('own-team');
    await writeFile(team, drawn);
  });
});
