/**
 * A task: questions with their gold answers, split into those trained on and those held out, and the corpus that tools may
 * search. It knows no workflow; what a template should do differently on it (prompts, number of passages) stands in `presets`.
 */
import type { Metric } from '../rewards/answer.ts';
import type { Json, Passage } from '../schema/value.ts';
import type { Preset } from '../templates/preset.ts';

export type { Passage } from '../schema/value.ts';

export type Query = {
  id: string;
  question: string;
  /** Gold answers; a score is the best over them. Empty for a question somebody only asks. */
  answers: string[];
  /** The question's own documents, searched when the task has no corpus. */
  paragraphs?: Passage[];
  /** Further fields that an input node may hand out by name. Never the answer. */
  values?: Record<string, Json>;
};

export type Task = {
  name: string;
  title: string;
  description: string;
  /** What the task is scored by, shown as its `score`; every trace carries F1 and EM besides. */
  metric: Metric;
  train: Query[];
  heldOut: Query[];
  corpus: Passage[] | null;
  /** By template name: what it does differently on this task. */
  presets?: Readonly<Record<string, Preset>>;
};

/** Options a person may give with a task: {"heldOut": 100}, {"seed": 3}. */
export type TaskOptions = Record<string, Json>;

/** A task that ships with Troupe. */
export type BundledTask = {
  name: string;
  title: string;
  description: string;
  build(options: TaskOptions): Task;
};
