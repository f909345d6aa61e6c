/** What a run will take of the device's memory, said by part before it begins, and refused where it is more than it may. */
import { UserError } from '../../engine/errors.ts';
import type { MemoryLoad, MemoryPlan, ModelInfo } from '../../engine/protocol.ts';
import type { RunConfig } from '../schema/run.ts';

export type Planner = {
  inspect(model: string): Promise<ModelInfo>;
  /** Null where nothing is planned. */
  plan(model: string, load: MemoryLoad): Promise<MemoryPlan | null>;
};

const GIB = 2 ** 30;

/** A sentence on the memory the run will take, or null where none is planned. Throws a UserError where it may not take that much. */
export async function checkMemory(config: RunConfig, planner: Planner): Promise<string | null> {
  const mostGiB = config.settings.memoryGiB;
  if (mostGiB !== undefined && !(mostGiB > 0))
    throw new UserError(`No run fits into ${mostGiB} GiB; give the memory it may take`);
  const mostBytes = mostGiB === undefined ? Number.MAX_SAFE_INTEGER : mostGiB * GIB;
  const here = Object.values(config.cast.policies).filter(({ by }) => by === undefined);
  const plans: MemoryPlan[] = [];
  for (const model of new Set(here.map((policy) => policy.model))) {
    const load = await loadOf(config, model, planner, mostBytes);
    const plan = await planner.plan(model, load);
    if (plan) plans.push(plan);
  }
  if (plans.length === 0) {
    if (mostGiB === undefined) return null;
    throw new UserError(
      'Memory is only planned on WebGPU, for models its kernels fit; leave --memory out, or choose --device webgpu',
    );
  }
  const peak = plans.reduce((sum, { peakBytes }) => sum + peakBytes, 0);
  if (peak > mostBytes) throw new UserError(`${tooMuch(peak, mostBytes)}; ${remedy(plans)}`);
  return plans.map(sentence).join(' ');
}

async function loadOf(config: RunConfig, model: string, planner: Planner, mostBytes: number): Promise<MemoryLoad> {
  const { settings, cast } = config;
  const policies = Object.values(cast.policies).filter((policy) => policy.by === undefined && policy.model === model);
  const { keys } = policies.find((policy) => policy.keys !== undefined) ?? {};
  const learning = policies.filter(({ frozen }) => !frozen);
  const halves = learning.length > 0 && learning.every(({ activations }) => activations === 'f16');
  const { contextLength } = await planner.inspect(model);
  const budget = settings.sft?.tokenBudget ?? settings.ppo['tokenBudget'];
  return {
    policies: policies.map(({ frozen, method }) => (frozen ? null : methodOf(method))),
    rollout: policies.find(({ weights }) => weights !== undefined)?.weights ?? 'f32',
    ...(keys === undefined ? {} : { keys }),
    ...(halves ? { activations: 'f16' as const } : {}),
    sequences: settings.queries * (settings.samples ?? 1),
    positions: contextLength,
    tokenBudget: typeof budget === 'number' ? budget : 1,
    mostBytes,
  };
}

/** Without keys that are there and undefined. */
function methodOf(method: RunConfig['cast']['policies'][string]['method']): MemoryLoad['policies'][number] {
  if (method.kind === 'full') return method;
  const { layers, ...rest } = method;
  return layers === undefined ? rest : { ...rest, layers };
}

const gib = (bytes: number): string => (bytes / GIB).toFixed(2);

const tooMuch = (peak: number, most: number): string =>
  `This run would take up to ${gib(peak)} GiB of device memory and may take ${gib(most)}`;

function remedy(plans: readonly MemoryPlan[]): string {
  const [{ tokenBudget }] = plans;
  if (plans.length === 1 && tokenBudget !== null)
    return `the largest micro-batch that fits is ${tokenBudget} tokens: add --set tokenBudget=${tokenBudget}`;
  return 'no micro-batch is small enough: choose LoRA, a smaller model or fewer policies';
}

function sentence({ parts, peakBytes }: MemoryPlan): string {
  const listed = (bytes: Readonly<Record<string, number>>): string =>
    Object.entries(bytes)
      .filter(([, own]) => own >= GIB / 200)
      .sort(([, a], [, b]) => b - a)
      .map(([name, own]) => `${name} ${gib(own)}`)
      .join(', ');
  const training = parts.training ? `; while training ${listed(parts.training)}` : '';
  return `Device memory at most ${gib(peakBytes)} GiB. While sampling ${listed(parts.rollout)}${training}.`;
}
