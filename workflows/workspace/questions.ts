/**
 * Questions asked one by one, kept like a run's traces: each is a step of its own, with what it was asked with beside it, so
 * that it can be forked long after. The newest 200 stay; asking another forgets the oldest with its forks.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { pinnedSchema } from '../run/pinned.ts';
import { castSchema } from '../schema/cast.ts';
import { runSchema } from '../schema/run.ts';
import type { Trace } from '../schema/trace.ts';
import { workflowSchema } from '../schema/workflow.ts';
import { jsonBytes, parseAs, paths, QUESTIONS, stepOf } from './layout.ts';
import type { Store } from './store.ts';
import { forgetRows, traceSteps } from './trace-index.ts';
import { writeTraces } from './traces.ts';

const KEPT = 200;

const askedSchema = z.object({
  troupe: z.literal('question'),
  version: z.literal(1),
  workflow: workflowSchema,
  cast: castSchema,
  task: runSchema.shape.task,
  seed: z.int().min(0),
  web: z.boolean(),
  /** Results that stood for nodes. */
  pinned: pinnedSchema.optional(),
  /** The checkpoint whose weights spoke; null for untrained ones. */
  weights: z.object({ run: z.string(), step: z.int().min(0) }).nullable(),
});

/** Everything a question was asked with. */
export type Asked = z.infer<typeof askedSchema>;

/** Keeps a question's trace under an id of its own, which it returns with it. */
export async function keepQuestion(
  store: Store,
  asked: Omit<Asked, 'troupe' | 'version'>,
  trace: Trace,
): Promise<Trace> {
  const numbers = await traceSteps(store, QUESTIONS);
  const number = (numbers.at(-1) ?? 0) + 1;
  const kept = { ...trace, id: `${number}-run-${trace.query.id}`, step: number };
  await store.write(paths.asked(number), jsonBytes({ troupe: 'question', version: 1, ...asked }));
  await writeTraces(store, QUESTIONS, number, [kept]);
  for (const old of numbers.slice(0, -(KEPT - 1))) await forget(store, old);
  return kept;
}

async function forget(store: Store, number: number): Promise<void> {
  for (const path of [paths.traceIndex, paths.traceLines, paths.traceTokens])
    await store.remove(path(QUESTIONS, number));
  await store.remove(paths.asked(number));
  for (const name of await store.list(paths.forks(QUESTIONS)))
    if (stepOf(name) === number) await store.remove(`${paths.forks(QUESTIONS)}/${name}`);
  forgetRows(store, QUESTIONS, number);
}

/** What the question of this trace was asked with. */
export async function askedWith(store: Store, trace: string): Promise<Asked> {
  const name = paths.asked(stepOf(trace));
  if ((await store.stat(name)) === null)
    throw new UserError(`The question of the trace ${trace} is no longer kept; ask it again`);
  return parseAs(askedSchema, await store.read(name), name);
}
