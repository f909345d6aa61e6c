/**
 * village-qa as a task: the generated village of `village.ts` with its pages as corpus, and the prompts its bundled model
 * nano was taught (models/curriculum.ts uses the same words).
 */
import type { Preset } from '../templates/preset.ts';
import type { BundledTask, Query, Task, TaskOptions } from './task.ts';
import { villageSeed } from './village-seed.ts';
import { makeVillage, type VillageQuestion } from './village.ts';

const answering = {
  prompt: { user: '{{passages | lines}}\nQuestion: {{question}}' },
  parser: { kind: 'tags', tag: 'a', port: 'answer', maxChars: 60 },
  sampling: { maxTokens: 8 },
} as const;

/** The answer to a question from other texts than passages. */
const answeringFrom = (port: string) => ({
  ...answering,
  prompt: { user: `{{${port} | lines}}\nQuestion: {{question}}` },
});

const searching = { prompt: { user: 'Search: {{question}}' }, sampling: { maxTokens: 16 } } as const;
const searchFormat = { kind: 'tags', tag: 'q', unique: true, maxChars: 120 } as const;
const oneEach = { k: 1, words: 0, limit: 2 } as const;

/**
 * nano reads one page surely, so the search gives one page for each sub-question. It was taught to search and to answer and
 * nothing else: other roles get the nearer of the two prompts, and have their output formats still to learn.
 */
const presets: Record<string, Preset> = {
  'qd-answer': {
    roles: {
      decomposer: { ...searching, parser: { ...searchFormat, port: 'questions', min: 1, max: 2 } },
      answerer: answering,
    },
    tools: { search: oneEach },
    formatWeight: 1,
  },
  'single-agent': { roles: { solver: answering }, tools: { search: { k: 2, words: 0, limit: 2 } }, formatWeight: 1 },
  'qd-evidence-answer': {
    roles: {
      decomposer: { ...searching, parser: { ...searchFormat, port: 'questions', min: 1, max: 2 } },
      evidence: { ...answering, parser: { ...answering.parser, port: 'evidence' } },
      answerer: answeringFrom('evidence'),
    },
    tools: { search: oneEach },
  },
  'm-ask': {
    roles: {
      planner: { ...searching, parser: { kind: 'steps', port: 'steps', answer: 'answer', max: 2, maxChars: 120 } },
      searcher: { ...searching, parser: { ...searchFormat, port: 'query', end: '<end>' } },
      summariser: { ...answering, parser: { ...answering.parser, port: 'summary' } },
      updater: { prompt: { user: '{{evidence}}\nSearch: {{query}}' }, sampling: { maxTokens: 8 } },
      answerer: answeringFrom('steps'),
    },
    tools: { retrieve: oneEach },
  },
  praise: {
    roles: {
      searcher: { ...searching, parser: { ...searchFormat, port: 'query', end: '<end>' } },
      answerer: answering,
    },
    tools: { retrieve: oneEach },
  },
  'evaluator-optimiser': {
    roles: {
      generator: answering,
      evaluator: {
        prompt: { user: '{{passages | lines}}\nQuestion: {{question}} {{answer}}' },
        sampling: { maxTokens: 16 },
      },
    },
    tools: { search: oneEach },
  },
  voting: { roles: { voter: answering }, tools: { search: { k: 2, words: 0, limit: 2 } } },
  'orchestrator-workers': {
    roles: {
      orchestrator: { ...searching, parser: { ...searchFormat, port: 'tasks', min: 1, max: 3 } },
      worker: { ...answering, parser: { ...answering.parser, port: 'finding' } },
      synthesiser: answeringFrom('findings'),
    },
    tools: { search: oneEach },
  },
  // The village asks for no programs: these teams run here, and earn nothing but their formats.
  'planner-executor': {
    roles: {
      planner: { ...searching, sampling: { maxTokens: 16 } },
      executor: { prompt: { user: 'Search: {{task}}' }, sampling: { maxTokens: 16 } },
    },
    tools: { gather: oneEach },
  },
  'plan-code-verify-reflect': {
    roles: {
      planner: searching,
      coder: searching,
      reflector: searching,
    },
  },
  // nano writes no JSON: its teams are illegal, and the worker answers alone.
  'workflow-generator': {
    roles: { generator: { ...searching, sampling: { maxTokens: 16 } }, worker: answering },
    tools: { search: { k: 2, words: 0, limit: 2 } },
  },
  'coder-verifier': { roles: { coder: searching, verifier: searching } },
};

export const villageQa: BundledTask = {
  name: 'village-qa',
  title: 'Village',
  description:
    'A generated village: who lives where, works as what, keeps which pet, likes which food, is whose friend. One- and two-hop questions.',
  build,
};

function build(options: TaskOptions): Task {
  const village = makeVillage(villageSeed(villageQa.name, options));
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
