/**
 * Defaults of one PPO update and of supervised fine-tuning, with their sources, and the checks on what a person enters.
 * It imports no tensors: screens and the terminal may read it too.
 */
import { UserError } from '../errors.ts';
import type { PpoSettings, SftSettings, TrainMethod } from '../protocol.ts';

/**
 * Actor learning rate for full fine-tuning, by parameters. verl's 1e-6 at 0.5B and up; 1e-5 at 135M and 3e-4 at 0.8M are
 * what our own reference runs learned with; the row between them lies on the line through both in log-log.
 */
const FULL_RATES: readonly { readonly upTo: number; readonly lr: number }[] = [
  { upTo: 4e6, lr: 3e-4 },
  { upTo: 60e6, lr: 3e-5 },
  { upTo: 250e6, lr: 1e-5 },
  { upTo: Infinity, lr: 1e-6 },
];
/**
 * An adapter's rate against full fine-tuning's. "LoRA without regret" (Schulman et al. 2025) finds ten, and more for short
 * runs; ours are short, and at 135M ten learned at half the pace of full fine-tuning and twenty at the same (docs/results.md).
 */
const LORA_FACTOR = 20;
/** verl: critic 1e-5 where the actor has 1e-6. */
const CRITIC_FACTOR = 10;
/** A linear head on normalised states moves its value by about rate × hidden size a step: beyond this it jumps. */
const CRITIC_RATE_LIMIT = 1e-3;
const ADAPTER_RATE_LIMIT = 1e-3;
/** Below so many parameters the roles' own gradients cost a second or less a step; above, one step in five has them. */
const MEASURED_EACH_STEP = 30e6;

/** Learning rates for a model of `parameters` weights trained by `method`. */
export function defaultRates(parameters: number, method: TrainMethod['kind']): { lr: number; criticLr: number } {
  const full = FULL_RATES.find(({ upTo }) => parameters <= upTo)!.lr;
  const lr = method === 'lora' ? Math.min(full * LORA_FACTOR, Math.max(full, ADAPTER_RATE_LIMIT)) : full;
  return { lr, criticLr: Math.max(lr, Math.min(lr * CRITIC_FACTOR, CRITIC_RATE_LIMIT)) };
}

/** What defaults depend on: the base model's parameters, how it is trained, and the run's length in steps. */
export type Trained = {
  readonly parameters: number;
  readonly method: TrainMethod['kind'];
  readonly totalSteps: number;
};

/**
 * `changed` over the defaults: verl's PPO defaults (ppo_trainer.yaml), except where one trunk carries both heads: the value loss counts half
 * (Schulman et al. 2017, cleanrl) and moves the value head alone, which is the nearest to verl's separate critic.
 */
export function ppoSettings(
  { parameters, method, totalSteps }: Trained,
  changed: Partial<PpoSettings> = {},
): PpoSettings {
  return {
    estimator: 'gae',
    group: 'role+turn',
    gamma: 1,
    lambda: 1,
    whiten: 'policy',
    clip: 0.2,
    dualClip: 3,
    aggregation: 'token-mean',
    entropyCoef: 0,
    kl: { kind: 'k3', place: 'none', coef: 0.001 },
    valueClip: 0.5,
    valueCoef: 0.5,
    valueGradient: 'head',
    criticWarmup: 0,
    ...defaultRates(parameters, method),
    lrWarmup: 0,
    lrDecay: 'constant',
    totalSteps,
    weightDecay: 0.01,
    maxGradNorm: 1,
    epochs: 1,
    miniBatches: 2,
    tokenBudget: 4096,
    oldLogprobs: 'recompute',
    importanceCap: 0,
    roleGradients: parameters < MEASURED_EACH_STEP ? 1 : 5,
    ...changed,
  };
}

/** As for PPO; supervised gradients are far less noisy and bear ten times the rate, up to 1e-3. */
export function sftSettings(
  { parameters, method, totalSteps }: Trained,
  changed: Partial<SftSettings> = {},
): SftSettings {
  const rate = defaultRates(parameters, method).lr;
  const lr = Math.max(rate, Math.min(rate * 10, 1e-3));
  return {
    lr,
    lrWarmup: 0,
    lrDecay: 'constant',
    totalSteps,
    weightDecay: 0.01,
    maxGradNorm: 1,
    tokenBudget: 4096,
    ...changed,
  };
}

type Schedule = Pick<PpoSettings, 'lrWarmup' | 'lrDecay' | 'totalSteps'>;

/** What the learning rates are multiplied by at `step` (from 0): linear warm-up, then constant or linear to zero at `totalSteps`. */
export function rateFactor(step: number, { lrWarmup, lrDecay, totalSteps }: Schedule): number {
  const warm = lrWarmup > 0 ? Math.min(1, (step + 1) / lrWarmup) : 1;
  return lrDecay === 'linear' ? warm * Math.max(0, 1 - step / totalSteps) : warm;
}

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  estimator: ['gae', 'grpo', 'dr-grpo', 'rloo', 'reinforce'],
  group: ['query', 'role', 'role+turn', 'prefix'],
  whiten: ['policy', 'role', 'role+turn', 'none'],
  aggregation: ['token-mean', 'seq-mean-token-mean', 'seq-mean-token-sum'],
  valueGradient: ['trunk', 'head'],
  lrDecay: ['constant', 'linear'],
  oldLogprobs: ['recompute', 'behaviour'],
  'kl.kind': ['k1', 'k2', 'k3'],
  'kl.place': ['none', 'reward', 'loss'],
};

type Range = { readonly low: number; readonly high: number; readonly whole?: true };
/** What a setting may be; forms are made from this. */
export type SettingKind = { readonly choices: readonly (string | boolean)[] } | Range;
/** A limit that stands for none. */
export const LARGE = 1e9;
const RANGES: Readonly<Record<string, Range>> = {
  gamma: { low: 0, high: 1 },
  lambda: { low: 0, high: 1 },
  clip: { low: 1e-6, high: 1 },
  dualClip: { low: 0, high: LARGE },
  entropyCoef: { low: -LARGE, high: LARGE },
  'kl.coef': { low: 0, high: LARGE },
  valueClip: { low: 0, high: LARGE },
  valueCoef: { low: 0, high: LARGE },
  criticWarmup: { low: 0, high: LARGE, whole: true },
  lr: { low: 0, high: 10 },
  criticLr: { low: 0, high: 10 },
  lrWarmup: { low: 0, high: LARGE, whole: true },
  totalSteps: { low: 0, high: LARGE, whole: true },
  weightDecay: { low: 0, high: 10 },
  maxGradNorm: { low: 0, high: LARGE },
  epochs: { low: 1, high: 1000, whole: true },
  miniBatches: { low: 1, high: 100_000, whole: true },
  tokenBudget: { low: 1, high: LARGE, whole: true },
  importanceCap: { low: 0, high: LARGE },
  roleGradients: { low: 0, high: LARGE, whole: true },
};

/** Every PPO setting a person may change, by name, `kl.coef` for one within a group. */
export const ppoKinds: Readonly<Record<string, SettingKind>> = {
  ...Object.fromEntries(Object.entries(CHOICES).map(([name, choices]) => [name, { choices }])),
  ...RANGES,
};

/** Settings frozen before some of today's existed, with those as they worked then. */
export function completed(settings: PpoSettings): PpoSettings {
  return { ...{ group: 'query', roleGradients: 0 }, ...settings };
}

/** Throws a UserError for the first setting that is out of its range. */
export function checkPpo(settings: PpoSettings): void {
  const flat: Record<string, unknown> = {
    ...settings,
    'kl.kind': settings.kl?.kind,
    'kl.place': settings.kl?.place,
    'kl.coef': settings.kl?.coef,
  };
  for (const name of Object.keys(CHOICES)) checkChoice(name, flat[name]);
  for (const name of Object.keys(RANGES)) checkRange(name, flat[name]);
  if (settings.dualClip > 0 && settings.dualClip <= 1)
    throw new UserError(
      `The setting dualClip must be 0 (off) or above 1, and is ${settings.dualClip}; the usual value is 3.`,
    );
  checkDecay(settings);
}

/** Throws a UserError for the first setting that is out of its range. */
export function checkSft(settings: SftSettings): void {
  const flat: Record<string, unknown> = { ...settings };
  checkChoice('lrDecay', flat['lrDecay']);
  for (const name of ['lr', 'lrWarmup', 'totalSteps', 'weightDecay', 'maxGradNorm', 'tokenBudget'])
    checkRange(name, flat[name]);
  checkDecay(settings);
}

function checkDecay({ lrDecay, totalSteps }: Schedule): void {
  if (lrDecay === 'linear' && totalSteps < 1)
    throw new UserError(
      `A linearly falling learning rate needs to know its end, and totalSteps is ${totalSteps}: set totalSteps to the number of steps.`,
    );
}

function checkChoice(name: string, value: unknown): void {
  if (!CHOICES[name].includes(value as string))
    throw new UserError(`The setting ${name} is ${JSON.stringify(value)}; choose one of ${CHOICES[name].join(', ')}.`);
}

function checkRange(name: string, value: unknown): void {
  const { low, high, whole } = RANGES[name];
  const fits = typeof value === 'number' && value >= low && value <= high && (!whole || Number.isInteger(value));
  if (!fits)
    throw new UserError(
      `The setting ${name} must be a ${whole ? 'whole ' : ''}number from ${low} to ${high}, and is ${JSON.stringify(value)}.`,
    );
}
