/**
 * village-code as a task: functions of `village-functions.ts` to be written from three examples, judged by four tests that
 * no prompt shows; and the prompts its bundled model nano was taught (models/code-curriculum.ts fills the same ones).
 * Functions with a constant are held out whole, a quarter of each family; of those without one, a quarter of the problems.
 */
import { generator, shuffled } from '../random.ts';
import type { Preset } from '../templates/preset.ts';
import type { BundledTask, Query, Task, TaskOptions } from './task.ts';
import {
  drawExamples,
  families,
  functionsOf,
  problemText,
  programOf,
  testOf,
  type Family,
  type VillageFunction,
} from './village-functions.ts';
import { villageSeed } from './village-seed.ts';

/** Problems of each family. */
const problemsEach = 72;
const heldOutShare = 1 / 4;
const examplesShown = 3;
const testsHidden = 4;

export const codePrompts = {
  planner: 'Plan: {{question}}\n{{program}}\n{{reflection}}',
  coder: 'Code: {{plan}}',
  reflector: 'Reflect: {{question}}\n{{program}}\n{{report}}',
  solver: 'Code: {{question}}',
  verifier: 'Test: {{question}}',
} as const;

/** The longest plan is two words, the longest program twenty, and tags. */
const presets: Record<string, Preset> = {
  'plan-code-verify-reflect': {
    roles: {
      planner: { prompt: { user: codePrompts.planner }, sampling: { maxTokens: 8 } },
      coder: { prompt: { user: codePrompts.coder }, sampling: { maxTokens: 28 } },
      reflector: { prompt: { user: codePrompts.reflector }, sampling: { maxTokens: 8 } },
    },
  },
  'coder-verifier': {
    roles: {
      coder: { prompt: { user: codePrompts.solver }, sampling: { maxTokens: 28 } },
      verifier: { prompt: { user: codePrompts.verifier }, sampling: { maxTokens: 20 } },
    },
  },
};

export const villageCode: BundledTask = {
  name: 'village-code',
  title: 'Village code',
  description:
    'Small JavaScript functions of one or two numbers, each known by three examples and judged by four tests.',
  build,
};

function build(options: TaskOptions): Task {
  const random = generator(0xc0de + villageSeed(villageCode.name, options));
  const parts = families.map((family) => problemsOf(random, family));
  return {
    name: villageCode.name,
    title: villageCode.title,
    description: villageCode.description,
    metric: 'passed',
    train: shuffled(
      random,
      parts.flatMap(({ train }) => train),
    ),
    heldOut: shuffled(
      random,
      parts.flatMap(({ heldOut }) => heldOut),
    ),
    corpus: null,
    presets,
  };
}

/** The functions come in a random order, so the first are any. */
function problemsOf(random: () => number, family: Family): { train: Query[]; heldOut: Query[] } {
  const functions = shuffled(random, functionsOf[family]);
  const each = Math.floor(problemsEach / functions.length);
  const problems = functions.flatMap((wanted) => problemsAbout(random, wanted, each));
  const held =
    functions.length === 1
      ? problems.length * heldOutShare
      : Math.max(1, Math.floor(functions.length * heldOutShare)) * each;
  return { heldOut: problems.slice(0, held), train: problems.slice(held) };
}

function problemsAbout(random: () => number, wanted: VillageFunction, count: number): Query[] {
  const problems = new Map<string, Query>();
  while (problems.size < count) {
    const examples = drawExamples(random, wanted, examplesShown);
    const question = problemText(examples);
    if (problems.has(question)) continue;
    problems.set(question, {
      id: `${wanted.plan.replace(' ', '-')}-${problems.size + 1}`,
      question,
      answers: [programOf(wanted)],
      values: {
        language: 'javascript',
        entry_point: 'f',
        tests: drawExamples(random, wanted, testsHidden, examples).map(testOf),
        example_tests: examples.map(testOf),
      },
    });
  }
  return [...problems.values()];
}
