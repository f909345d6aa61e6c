/**
 * One PPO update of one policy, in the paper's order: old log-probs and values, advantages, whitening, epochs of
 * mini-batches, metrics. A pass whose numbers the update's own first forward will give anyway is left out. The result is a
 * function of the policy, the set of records, the settings and the step: not of the records' order or of any timing.
 */
import { UserError } from '../errors.ts';
import type { Policy, Trainable } from '../model/policy.ts';
import type { PpoSettings, UpdateReport } from '../protocol.ts';
import { adamwStep } from './adamw.ts';
import { advantagesOf } from './advantages.ts';
import { scoreSequences, type Hooks } from './forward.ts';
import { disposeGradient } from './gradients.ts';
import { fillTokenWeights, policyLossOf, valueLossOf } from './losses.ts';
import { countGoodStep, underScale } from './loss-scale.ts';
import { Tally } from './metrics.ts';
import { longestInput, withinMemory } from './microbatch.ts';
import { newMoments } from './moments.ts';
import { miniBatchGradient, type MiniBatch, type Seen, type TokenInputs } from './ppo-step.ts';
import { cutEvenly, flatLayout, orderRecords, shuffled, type TrainRecord } from './records.ts';
import { reportOf, type Finished } from './report.ts';
import {
  loneRoleGradient,
  measureRoleGradients,
  playsAlone,
  roleGradientsDue,
  type RoleGradients,
} from './role-gradients.ts';
import { checkPpo, completed, rateFactor } from './settings.ts';

export type { KeptRecord, TrainRecord } from './records.ts';

/**
 * Updates the policy from settled records. `step` counts from 0 and decides the shuffle and the learning rate. Throws a
 * UserError for settings or records that cannot be trained on; a cancelled update may have taken some of its steps.
 */
export async function updatePolicy(
  policy: Policy,
  settled: readonly TrainRecord[],
  given: PpoSettings,
  step: number,
  hooks: Hooks,
): Promise<UpdateReport> {
  const settings = completed(given);
  checkPpo(settings);
  const trainable = policy.trainable;
  if (!trainable)
    throw new UserError(
      `The policy ${policy.spec.policy} is frozen and cannot be updated; train it, or leave it out of the update.`,
    );
  const { vocab, contextLength } = policy.trunk.config;
  const { records, empty } = orderRecords(settled, vocab, contextLength);
  if (records.length === 0)
    throw new UserError(
      `The policy ${policy.spec.policy} has no response to learn from in ${settled.length} records; check that its roles were called and answered.`,
    );
  const notes = empty > 0 ? [`${empty} records without a token were left out`] : [];
  const run = new Update(policy, trainable, records, settings, step, hooks, notes);
  return run.run();
}

/** Which indices each epoch visits, mini-batch by mini-batch. */
type Schedule = readonly (readonly (readonly number[])[])[];

class Update {
  readonly #policy: Policy;
  readonly #trainable: Trainable;
  readonly #records: readonly TrainRecord[];
  readonly #settings: PpoSettings;
  readonly #step: number;
  readonly #hooks: Hooks;
  readonly #notes: string[];
  readonly #starts: Uint32Array;
  readonly #tokens: number;
  readonly #schedule: Schedule;
  readonly #tally = new Tally();
  readonly #gradNorms: number[] = [];
  /** Of the last step taken. */
  #lossScale: number | null = null;
  #roleGradients: RoleGradients | null = null;

  constructor(
    policy: Policy,
    trainable: Trainable,
    records: readonly TrainRecord[],
    settings: PpoSettings,
    step: number,
    hooks: Hooks,
    notes: string[],
  ) {
    this.#policy = policy;
    this.#trainable = trainable;
    this.#records = records;
    this.#settings = settings;
    this.#step = step;
    this.#hooks = hooks;
    this.#notes = notes;
    const { starts, tokens } = flatLayout(records);
    this.#starts = starts;
    this.#tokens = tokens;
    this.#schedule = Array.from({ length: settings.epochs }, (_, epoch) =>
      cutEvenly(shuffled(records.length, policy.spec.seed, step, epoch), settings.miniBatches),
    );
  }

  async run(): Promise<UpdateReport> {
    const began = performance.now();
    const { inputs, known } = await this.#prepare();
    const prepared = performance.now();
    const seen: Seen = {
      logprobs: new Float32Array(this.#tokens),
      entropy: new Float32Array(this.#tokens),
      values: new Float32Array(this.#tokens),
    };
    for (const [epoch, miniBatches] of this.#schedule.entries())
      for (const [i, members] of miniBatches.entries()) {
        const fresh = epoch === 0 && i === 0 && !known;
        await this.#miniBatch(
          {
            sequences: this.#records,
            members,
            inputs,
            fresh,
            criticOnly: this.#criticOnly(),
            settings: this.#settings,
          },
          seen,
          epoch,
          i,
        );
      }
    const finished: Finished = {
      records: this.#records,
      starts: this.#starts,
      inputs,
      seen,
      settings: this.#settings,
      tally: this.#tally,
      gradNorms: this.#gradNorms,
      roleGradients: this.#roleGradients,
      factor: rateFactor(this.#step, this.#settings),
      lossScale: this.#lossScale,
    };
    const timing = { oldLogprobsMs: prepared - began, updateMs: performance.now() - prepared };
    return { ...reportOf(finished), notes: this.#notes, timing };
  }

  #criticOnly(): boolean {
    return this.#step < this.#settings.criticWarmup;
  }

  /**
   * Old log-probs, values and reference log-probs, then advantages. `known` is false where the first mini-batch's old
   * numbers are left to its own forward pass: nothing has been updated before it, so they are the same numbers.
   */
  async #prepare(): Promise<{ inputs: TokenInputs; known: boolean }> {
    const { oldLogprobs: source, estimator, kl, valueCoef } = this.#settings;
    const behaviour = Float32Array.from({ length: this.#tokens });
    this.#records.forEach(({ logprobs }, r) => behaviour.set(Array.from(logprobs), this.#starts[r]));
    const all = this.#records.map((_, r) => r);
    const recompute = source === 'recompute';
    const beforehand = estimator === 'gae' || (kl.place === 'reward' && recompute);
    const sometime = recompute || valueCoef > 0;
    const first = new Set(this.#schedule[0][0]);
    const indices = beforehand ? all : sometime ? all.filter((r) => !first.has(r)) : [];
    const own = await this.#score(indices, 'old log-probs', false);
    const reference = kl.place === 'none' ? null : (await this.#score(all, 'reference log-probs', true)).logprobs;
    const old = recompute ? own.logprobs : behaviour;
    const { advantages, returns } = advantagesOf(
      this.#records,
      { starts: this.#starts, oldLogprobs: old, values: own.values, reference },
      this.#settings,
    );
    const inputs = {
      starts: this.#starts,
      oldLogprobs: old,
      values: own.values,
      behaviour,
      reference,
      advantages,
      returns,
      weights: new Float32Array(this.#tokens),
    };
    return { inputs, known: beforehand || !sometime };
  }

  async #score(indices: readonly number[], phase: string, reference: boolean) {
    const using = reference ? this.#policy.reference() : this.#policy.using();
    const valueHead = reference ? null : this.#policy.valueHead();
    return withinMemory(this.#policy, this.#settings.tokenBudget, longestInput(this.#records), this.#notes, (budget) =>
      scoreSequences(this.#policy, this.#records, indices, { using, valueHead, phase }, budget, this.#hooks),
    );
  }

  async #miniBatch(mini: MiniBatch, seen: Seen, epoch: number, index: number): Promise<void> {
    const { epochs, tokenBudget } = this.#settings;
    fillTokenWeights(mini.inputs.weights, mini.members, this.#starts, this.#settings.aggregation);
    const measured = epoch === 0 && index === 0 && !mini.criticOnly && this.#measuresRoles();
    const alone = measured && playsAlone(this.#records, this.#settings);
    if (measured && !alone)
      this.#roleGradients = await measureRoleGradients(this.#policy, this.#records, mini, this.#notes, this.#hooks);
    const perEpoch = this.#schedule[0].length;
    const report = (done: number, total: number) =>
      this.#hooks.onProgress('update', epoch * perEpoch + index + done / total, epochs * perEpoch);
    const norm = await underScale(this.#policy, this.#notes, async () => {
      const gradient = await withinMemory(
        this.#policy,
        tokenBudget,
        longestInput(this.#records),
        this.#notes,
        (budget) => miniBatchGradient(this.#policy, mini, seen, budget, this.#hooks, report),
      );
      this.#policy.moments ??= newMoments(this.#trainable.size);
      try {
        if (alone) this.#roleGradients = await loneRoleGradient(this.#records[0].role, gradient);
        return await this.#adamw(mini, gradient);
      } finally {
        disposeGradient(gradient);
        this.#policy.changed();
      }
    });
    this.#stepped(norm);
    if (mini.fresh) this.#adoptFresh(mini, seen);
    this.#count(mini, seen);
  }

  #measuresRoles(): boolean {
    return roleGradientsDue(this.#records, this.#trainable, this.#settings.roleGradients, this.#step);
  }

  /** A fresh mini-batch's own numbers become its old ones, for later epochs and for the report. */
  #adoptFresh({ members, inputs }: MiniBatch, seen: Seen): void {
    for (const r of members)
      for (let t = this.#starts[r]; t < this.#starts[r + 1]; t++) {
        if (this.#settings.oldLogprobs === 'recompute') inputs.oldLogprobs[t] = seen.logprobs[t];
        inputs.values[t] = seen.values[t];
      }
  }

  #count({ members, inputs, criticOnly }: MiniBatch, seen: Seen): void {
    const settings = this.#settings;
    for (const r of members)
      for (let t = this.#starts[r]; t < this.#starts[r + 1]; t++) {
        const { loss, logratio, ratio, clipped } = policyLossOf(
          seen.logprobs[t],
          inputs.oldLogprobs[t],
          inputs.advantages[t],
          settings,
        );
        const valueLoss =
          settings.valueCoef > 0
            ? valueLossOf(seen.values[t], inputs.values[t], inputs.returns[t], settings.valueClip)
            : 0;
        const pull = criticOnly
          ? 0
          : inputs.weights[t] * Math.abs(inputs.advantages[t]) * ratio * (1 - Math.min(1, Math.exp(seen.logprobs[t])));
        this.#tally.add(this.#records[r].role, {
          loss,
          weight: inputs.weights[t],
          logratio,
          clipped,
          entropy: seen.entropy[t],
          valueLoss,
          pull,
        });
      }
  }

  #adamw(mini: MiniBatch, gradient: Parameters<typeof adamwStep>[2]): Promise<number> {
    const { lr, criticLr, weightDecay, maxGradNorm, valueCoef } = this.#settings;
    const factor = rateFactor(this.#step, this.#settings);
    const rates = { trunk: mini.criticOnly ? null : lr * factor, value: valueCoef > 0 ? criticLr * factor : null };
    return adamwStep(this.#trainable, this.#policy.moments!, gradient, { rates, weightDecay, maxGradNorm });
  }

  #stepped(norm: number): void {
    this.#lossScale = this.#policy.lossScale?.scale ?? null;
    if (Number.isFinite(norm)) countGoodStep(this.#policy);
    else
      this.#notes.push(
        `a step was skipped: its gradient is not finite (norm ${norm}); lower the learning rate if this comes again`,
      );
    this.#gradNorms.push(norm);
  }
}
