/**
 * village-qa as a task: the generated village of `village.ts` with its pages as corpus, and the prompts its bundled model
 * nano was taught (models/curriculum.ts uses the same words).
 */
import { UserError } from '../../engine/errors.ts';
import type { Preset } from '../templates/preset.ts';
import type { BundledTask, Query, Task, TaskOptions } from './task.ts';
import { makeVillage, type VillageQuestion } from './village.ts';

const answering = {
  prompt: { user: '{{passages | lines}}\nQuestion: {{question}}' },
  parser: { kind: 'tags', tag: 'a', port: 'answer', maxChars: 60 },
  sampling: { maxTokens: 8 },
} as const;

/** nano reads one page surely, so the search gives one page for each sub-question. */
const presets: Record<string, Preset> = {
  'qd-answer': {
    roles: {
      decomposer: {
        prompt: { user: 'Search: {{question}}' },
        parser: { kind: 'tags', tag: 'q', port: 'questions', min: 1, max: 2, unique: true, maxChars: 120 },
        sampling: { maxTokens: 16 },
      },
      answerer: answering,
    },
    tools: { search: { k: 1, words: 0, limit: 2 } },
    formatWeight: 1,
  },
  'single-agent': { roles: { solver: answering }, tools: { search: { k: 2, words: 0, limit: 2 } }, formatWeight: 1 },
};

export const villageQa: BundledTask = {
  name: 'village-qa',
  title: 'Village',
  description:
    'A generated village: who lives where, works as what, keeps which pet, likes which food, is whose friend. One- and two-hop questions.',
  build,
};

function build(options: TaskOptions): Task {
  const seed = options['seed'] ?? 0;
  if (typeof seed !== 'number' || !Number.isInteger(seed) || seed < 0 || seed > 1_000_000)
    throw new UserError(`The village's seed must be a whole number from 0 to 1000000: ${JSON.stringify(seed)}`);
  const unknown = Object.keys(options).find((name) => name !== 'seed');
  if (unknown !== undefined)
    throw new UserError(`village-qa has no option of this name: ${unknown}; its only option is seed`);
  const village = makeVillage(seed);
  return {
    name: villageQa.name,
    title: villageQa.title,
    description: villageQa.description,
    metric: 'f1',
    train: village.train.map(toQuery),
    heldOut: village.heldOut.map(toQuery),
    corpus: village.pages.map((page) => ({ title: page.title, text: page.text })),
    presets,
  };
}

function toQuery(question: VillageQuestion): Query {
  return { id: question.id, question: question.question, answers: [...question.answers] };
}
