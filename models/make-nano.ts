/**
 * Makes models/nano again, on this project's own engine, in stages: reading and searching on generated villages, and the
 * mixture of good and mediocre habits of both; then the parts of a code team, beside what it knows, and their habits. Run
 * it with `npm run make-nano`; `-- --seed N --device wasm --out FOLDER` vary it. Finished stages and the lessons so far are
 * kept in models/.making, so that it goes on where it was stopped. Takes tens of minutes on two cores.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { DeviceChoice, EngineApi, FileOut, FileSet, SftExample, SftSettings } from '../engine/protocol.ts';
import { startNodeEngine } from '../engine/start.node.ts';
import { generator } from '../workflows/random.ts';
import { codeHabit, codeLesson } from './code-curriculum.ts';
import { habit, lesson, type Demonstration } from './curriculum.ts';
import { untrained, widened } from './nano-model.ts';
import { nanoVocabulary, villageVocabulary } from './nano-tokenizer.ts';

type Draw = (random: () => number) => Demonstration;

const batch = 96;
const policy = 'nano';

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: '0' },
    device: { type: 'string', default: 'auto' },
    out: { type: 'string', default: path.join(import.meta.dirname, 'nano') },
  },
});
const seed = Number(options.seed);

const villageLesson: Draw = (random) => lesson(random, 0.25);
/** What nano ships with of the village is rehearsed throughout, so that it stays as it is. */
const codeLessons: Draw = (random) => (random() < 0.12 ? habit(random) : codeLesson(random));
const codeHabits: Draw = (random) => (random() < 0.35 ? habit(random) : codeHabit(random));

type Stage = {
  readonly name: string;
  begin(before: readonly FileOut[]): FileOut[] | Promise<FileOut[]>;
  /** `progress` is the folder for what a stopped making goes on from. */
  train(engine: EngineApi, progress: string): Promise<void>;
};

const stages: readonly Stage[] = [
  {
    name: 'village',
    begin: () => untrained(seed, villageVocabulary()),
    async train(engine, progress) {
      const test: Draw = (random) => lesson(random, 0.5);
      const taught = await teach(engine, progress, villageLesson, test, {
        atLeast: 300,
        atMost: 1_500,
        right: 0.985,
        offset: 1,
      });
      await settle(engine, 'polish', villageLesson, { lr: 1e-3, steps: 100, offset: 3, from: taught });
      await settle(engine, 'habit', habit, { lr: 5e-4, steps: 150, offset: 5, from: 0 });
    },
  },
  {
    name: 'code-lessons',
    begin: (before) => widened(before, seed, nanoVocabulary()),
    async train(engine, progress) {
      const taught = await teach(engine, progress, codeLessons, codeLesson, {
        atLeast: 350,
        atMost: 350,
        right: 0,
        offset: 7,
      });
      await settle(engine, 'polish', codeLessons, { lr: 1e-3, steps: 100, offset: 9, from: taught });
    },
  },
  {
    name: 'code-habits',
    begin: (before) => [...before],
    train: (engine) => settle(engine, 'habit', codeHabits, { lr: 5e-4, steps: 150, offset: 11, from: 0 }),
  },
];

function asSft({ user, response, role }: Demonstration): SftExample {
  return { prompt: { messages: [{ role: 'user', content: user }] }, response, role };
}

function draw(random: () => number, make: Draw): SftExample[] {
  return Array.from({ length: batch }, () => asSft(make(random)));
}

/** Share of fresh demonstrations said exactly, by role. */
async function accuracy(engine: EngineApi, tests: readonly Demonstration[]): Promise<Record<string, number>> {
  const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: 32, stop: [], seed: 0 };
  const said = await engine.generate(
    policy,
    tests.map((test, i) => ({ record: String(i), prompt: asSft(test).prompt, sampling, keep: false })),
  );
  const hits: Record<string, number[]> = {};
  tests.forEach((test, i) =>
    (hits[test.role] ??= []).push(said[i].text.replaceAll(' ', '') === test.response.replaceAll(' ', '') ? 1 : 0),
  );
  return Object.fromEntries(
    Object.entries(hits).map(([role, each]) => [role, each.reduce((a, b) => a + b, 0) / each.length]),
  );
}

async function right(engine: EngineApi, tests: readonly Demonstration[]): Promise<Record<string, number>> {
  const found = await accuracy(engine, tests);
  const shown = Object.entries(found).map(([role, share]) => `${role} ${share.toFixed(2)}`);
  console.log(`  right: ${shown.sort().join(', ')}, ${seconds()} s`);
  return found;
}

const sft = (lr: number, lrWarmup: number): SftSettings => ({
  lr,
  lrWarmup,
  lrDecay: 'constant',
  totalSteps: 0,
  weightDecay: 0.01,
  maxGradNorm: 1,
  tokenBudget: 8_192,
});

type Goal = { atLeast: number; atMost: number; right: number; offset: number };

/** Stays at a constant rate until every role is right, and gives the steps it took. */
async function teach(engine: EngineApi, progress: string, make: Draw, test: Draw, goal: Goal): Promise<number> {
  const random = generator(seed + goal.offset);
  const probe = generator(seed + goal.offset + 1);
  const done = await resumed(engine, progress);
  for (let step = 1; step <= goal.atMost; step++) {
    // Drawn also for steps taken before: what comes next follows from them.
    const examples = draw(random, make);
    const tests = step % 50 === 0 ? Array.from({ length: 128 }, () => test(probe)) : null;
    if (step < done) continue;
    if (step > done) {
      const report = await engine.sft(policy, examples, sft(1e-3, 50), step - 1);
      if (tests === null) continue;
      console.log(`lesson ${step}: loss ${report.loss.toFixed(3)}`);
      await keep(path.join(progress, String(step)), await engine.exportPolicy(policy, 'checkpoint'));
      await rm(path.join(progress, String(step - 50)), { recursive: true, force: true });
    }
    const found = await right(engine, tests!);
    if (step >= goal.atLeast && Object.values(found).every((share) => share >= goal.right)) return step;
  }
  throw new Error(`nano did not learn within ${goal.atMost} steps`);
}

/** The steps of lessons taken before, with the policy as it was after them. */
async function resumed(engine: EngineApi, progress: string): Promise<number> {
  const steps = (await readdir(progress).catch(() => [])).map(Number);
  if (steps.length === 0) return 0;
  const last = Math.max(...steps);
  await engine.importPolicy(policy, filesOf((await kept(path.join(progress, String(last))))!));
  console.log(`on from lesson ${last}`);
  return last;
}

/** Steps whose rate falls to zero. */
async function settle(
  engine: EngineApi,
  name: string,
  make: Draw,
  { lr, steps, offset, from }: { lr: number; steps: number; offset: number; from: number },
): Promise<void> {
  const random = generator(seed + offset);
  for (let step = 0; step < steps; step++) {
    const report = await engine.sft(policy, draw(random, make), sft(lr * (1 - step / steps), 0), from + step);
    if ((step + 1) % 50 === 0) console.log(`${name} ${step + 1}: loss ${report.loss.toFixed(3)}, ${seconds()} s`);
  }
}

const started = performance.now();
const seconds = () => ((performance.now() - started) / 1000).toFixed(0);

function filesOf(files: readonly FileOut[]): FileSet {
  return Object.fromEntries(files.map(({ name, bytes }) => [name, { kind: 'bytes', bytes }]));
}

async function kept(folder: string): Promise<FileOut[] | null> {
  const names = await readdir(folder).catch(() => null);
  if (names === null || !names.includes('model.safetensors')) return null;
  return Promise.all(names.map(async (name) => ({ name, bytes: await readFile(path.join(folder, name)) })));
}

async function keep(folder: string, files: readonly FileOut[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const file of files) await writeFile(path.join(folder, file.name), file.bytes);
}

async function main(): Promise<void> {
  const { engine, close } = await startNodeEngine({ onToken() {}, onProgress() {}, onDeviceLost() {}, onTuned() {} });
  const device = await engine.open(options.device as DeviceChoice);
  console.log(`nano, seed ${seed}, on ${device.name}`);
  let files: FileOut[] = [];
  for (const { name, begin, train } of stages) {
    const folder = path.join(import.meta.dirname, '.making', String(seed), name);
    const found = await kept(folder);
    console.log(`${name}${found === null ? '' : ': kept from before'}`);
    if (found !== null) {
      files = found;
      continue;
    }
    await engine.loadModel(name, filesOf(await begin(files)));
    await engine.createPolicy({ policy, model: name, method: { kind: 'full' }, frozen: false, seed });
    await train(engine, `${folder}-lessons`);
    files = await engine.exportPolicy(policy, 'merged');
    await engine.dropPolicy(policy);
    await engine.unloadModel(name);
    await keep(folder, files);
  }
  await keep(options.out, files);
  console.log(`written to ${options.out}`);
  await close();
}

await main();
