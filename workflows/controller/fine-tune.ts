/** Supervised fine-tuning of one model on a file of examples, or on the successful traces of a run. */
import { checkSft, sftSettings } from '../../engine/learn/settings.ts';
import type { FileOut, SftExample, SftReport } from '../../engine/protocol.ts';
import type { Method } from '../schema/cast.ts';
import { drawQueries } from '../train/draw.ts';
import { examplesOfRun, parseExamples } from '../train/examples.ts';
import type { Filter } from '../train/select.ts';
import { readRun } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import type { EngineRoom } from './engine-room.ts';

export type ExampleSource = { readonly lines: Uint8Array } | { readonly run: string; readonly filter: Filter };
export type FineTuning = {
  model: string;
  method: Method;
  examples: ExampleSource;
  steps: number;
  batch: number;
  seed: number;
  lr?: number;
};
export type FineTuned = { first: number; last: number; files: FileOut[] };

async function examplesFrom(store: Store, source: ExampleSource): Promise<SftExample[]> {
  if ('lines' in source) return parseExamples(source.lines);
  const { id, workflow } = await readRun(store, source.run);
  return examplesOfRun(store, id, workflow.roles, source.filter);
}

export async function fineTuneModel(
  room: EngineRoom,
  store: Store,
  request: FineTuning,
  onStep: (step: number, report: SftReport) => void,
): Promise<FineTuned> {
  const { model, method, steps, batch, seed } = request;
  const source = request.examples;
  const examples = await examplesFrom(store, source);
  const info = await room.inspect(model);
  const settings = sftSettings(
    { parameters: info.parameters, method: method.kind, totalSteps: steps },
    request.lr === undefined ? {} : { lr: request.lr },
  );
  checkSft(settings);
  const policy = `sft/${model}`;
  const cast = {
    troupe: 'cast' as const,
    version: 1 as const,
    name: 'sft',
    policies: { sft: { model, method, frozen: false } },
    roles: {},
  };
  await room.seat(
    cast,
    seed,
    () => policy,
    () => {},
  );
  try {
    const engine = await room.engine();
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) {
      const report = await engine.sft(policy, drawQueries(examples, seed, step, batch), settings, step);
      losses.push(report.loss);
      onStep(step + 1, report);
    }
    return {
      first: losses[0],
      last: losses[losses.length - 1],
      files: await engine.exportPolicy(policy, method.kind === 'lora' ? 'peft' : 'merged'),
    };
  } finally {
    await room.unseat([policy]);
  }
}
