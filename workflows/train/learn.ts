/**
 * What a step's traces teach: every policy that learns is updated from the records it made, by PPO or by supervised
 * fine-tuning on those worth imitating. Also how a run's policies and calls are named in the engine.
 */
import type { PpoSettings, SettledRecord, SftReport, TokenArrays, UpdateReport } from '../../engine/protocol.ts';
import { generator, shuffled } from '../random.ts';
import { hashSeed } from '../run/seed.ts';
import { recordKey } from '../run/runner.ts';
import type { RunConfig, TuneSettings } from '../schema/run.ts';
import type { Trace } from '../schema/trace.ts';
import { selectOutputs, type Selected } from './select.ts';
import { mean, scoreOf } from './summary.ts';
import type { TrainContext } from './train.ts';

/** What a step's line of metrics says of one policy's update. */
export type Learned = Pick<UpdateReport, 'metrics' | 'roles' | 'trainedTokens' | 'notes'>;

/** Policies are named by run in the engine, so that two runs never share one by accident. */
export function enginePolicy(run: string, policy: string): string {
  return `${run}/${policy}`;
}

/** The engine's call while samples are drawn that a pause may set aside. */
export function rolloutCall(run: string): string {
  return `${run}/rollout`;
}

function updateCall(run: string, policy: string): string {
  return `${enginePolicy(run, policy)}/update`;
}

/** The policy whose update a call of the engine is; null for any other call. */
export function updatedPolicy(run: string, call: string): string | null {
  return call.startsWith(`${run}/`) && call.endsWith('/update') ? call.slice(run.length + 1, -'/update'.length) : null;
}

/** Policies that learn. */
export function learners(config: RunConfig): string[] {
  return Object.keys(config.cast.policies).filter((policy) => !config.cast.policies[policy].frozen);
}

/** Updates every policy that learns; the traces' tokens get what the update made of them. */
export function learn(context: TrainContext, traces: Trace[], step: number): Promise<Record<string, Learned>> {
  const { sft } = context.config.settings;
  return sft === undefined ? updateAll(context, traces, step) : tuneAll(context, sft, traces, step);
}

async function updateAll(context: TrainContext, traces: Trace[], step: number): Promise<Record<string, UpdateReport>> {
  const { config, engine, hooks } = context;
  const reports: Record<string, UpdateReport> = {};
  const policies = learners(config);
  for (const [i, policy] of policies.entries()) {
    hooks.onProgress({ step: step + 1, phase: `update ${policy}`, done: i, total: policies.length });
    const records = settled(traces, policy);
    const name = enginePolicy(config.id, policy);
    if (records.length === 0) {
      await engine.forget(name); // what was sampled and is no sample must not pile up
      continue;
    }
    const report = await engine.update(
      name,
      records,
      config.settings.ppo as unknown as PpoSettings,
      step,
      updateCall(config.id, policy),
    );
    await engine.forget(name);
    reports[policy] = report;
    putTokens(traces, report.tokens);
  }
  return reports;
}

function settled(traces: readonly Trace[], policy: string): SettledRecord[] {
  return traces
    .filter((trace) => trace.status === 'done')
    .flatMap((trace) =>
      trace.records
        .filter(
          (record) =>
            record.trainable && record.policy === policy && record.reward !== undefined && (record.length ?? 0) > 0,
        )
        .map((record) => ({
          record: recordKey(trace, record),
          reward: record.reward!,
          role: record.role!,
          turn: record.turn,
          ...(record.index === undefined ? {} : { copy: record.index }),
          group: trace.query.id,
        })),
    );
}

/** The update's view of each token goes back onto its record, for the trace. */
function putTokens(traces: readonly Trace[], arrays: readonly TokenArrays[]): void {
  const byRecord = new Map(arrays.map((each) => [each.record, each]));
  for (const trace of traces) {
    for (const record of trace.records) {
      const found = byRecord.get(recordKey(trace, record));
      if (!found || !record.tokens) continue;
      const { oldLogprobs, newLogprobs, values, advantages, returns } = found;
      record.tokens = {
        ...record.tokens,
        oldLogprobs: [...oldLogprobs],
        newLogprobs: [...newLogprobs],
        values: [...values],
        advantages: [...advantages],
        returns: [...returns],
      };
    }
  }
}

/** One round: each policy imitates what its roles did well. A policy with nothing to imitate stays as it is, and says so. */
async function tuneAll(
  context: TrainContext,
  settings: TuneSettings,
  traces: readonly Trace[],
  step: number,
): Promise<Record<string, Learned>> {
  const { config, engine } = context;
  const selected = selectOutputs(traces, config.workflow.roles, settings);
  const learned: Record<string, Learned> = {};
  for (const policy of learners(config)) {
    await engine.forget(enginePolicy(config.id, policy)); // learned again from texts, not from what was kept
    const own = selected.filter((each) => each.policy === policy);
    learned[policy] = own.length === 0 ? nothing(traces, settings) : await tune(context, settings, policy, own, step);
  }
  return learned;
}

function nothing(traces: readonly Trace[], { minScore }: TuneSettings): Learned {
  const best = Math.max(0, ...traces.map(scoreOf));
  return {
    metrics: { 'sft/examples': 0 },
    roles: {},
    trainedTokens: 0,
    notes: [
      `nothing to learn from in this round: no output passed the filter (minScore ${minScore}, best trace ${best.toFixed(2)}); lower minScore or sample more`,
    ],
  };
}

async function tune(
  { config, engine, hooks }: TrainContext,
  settings: TuneSettings,
  policy: string,
  selected: readonly Selected[],
  step: number,
): Promise<Learned> {
  const { epochs, batch } = settings;
  const total = epochs * Math.ceil(selected.length / batch);
  const reports: SftReport[][] = [];
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    const order = shuffled(generator(hashSeed(config.settings.seed, 'sft', step, policy, epoch)), selected);
    const own: SftReport[] = [];
    for (let at = 0; at < order.length; at += batch) {
      const done = reports.flat().length + own.length;
      hooks.onProgress({ step: step + 1, phase: `fine-tune ${policy}`, done, total });
      const examples = order.slice(at, at + batch).map(({ example }) => example);
      const name = enginePolicy(config.id, policy);
      own.push(await engine.sft(name, examples, settings, step, updateCall(config.id, policy)));
    }
    reports.push(own);
  }
  return tuned(reports, selected);
}

function tuned(epochs: readonly (readonly SftReport[])[], selected: readonly Selected[]): Learned {
  const all = epochs.flat();
  const last = epochs[epochs.length - 1];
  const { lossScale } = all[all.length - 1];
  const roles = [...new Set(selected.map(({ example }) => example.role))].sort();
  return {
    metrics: {
      'losses/sft': lossOf(last),
      'losses/sft_first': lossOf(epochs[0]),
      'sft/examples': selected.length,
      'sft/steps': all.length,
      grad_norm: mean(all.map(({ gradNorm }) => gradNorm)),
      ...(lossScale === undefined ? {} : { loss_scale: lossScale }),
    },
    roles: Object.fromEntries(
      roles.map((role) => {
        const own = last.flatMap((report) => (report.roles[role] === undefined ? [] : [report.roles[role]]));
        const tokens = own.reduce((sum, each) => sum + each.tokens, 0);
        const loss = own.reduce((sum, each) => sum + each.loss * each.tokens, 0) / tokens;
        const examples = selected.filter(({ example }) => example.role === role).length;
        return [role, { 'losses/sft': loss, 'sft/examples': examples, tokens }];
      }),
    ),
    trainedTokens: all.reduce((sum, { trainedTokens }) => sum + trainedTokens, 0),
    notes: [...new Set(all.flatMap(({ notes }) => notes))],
  };
}

/** A mean over all tokens of one pass. */
function lossOf(reports: readonly SftReport[]): number {
  const tokens = reports.reduce((sum, { trainedTokens }) => sum + trainedTokens, 0);
  return reports.reduce((sum, { loss, trainedTokens }) => sum + loss * trainedTokens, 0) / tokens;
}
