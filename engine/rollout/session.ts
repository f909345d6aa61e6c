/**
 * Generation for several policies at once: those on one base share its rollout, and with it their steps where the trunk can
 * run different adapters side by side. Bases take turns.
 */
import type { BasePolicy } from '../model/make-policy.ts';
import type { ForwardWeights, Trunk } from '../model/trunk.ts';
import type { Generation } from '../protocol.ts';
import { Rollout, type GenerateHooks, type RolloutHooks } from './generate.ts';
import type { Order } from './sequence.ts';

export class GenerationSession {
  readonly #hooks: RolloutHooks;
  readonly #rollouts = new Map<Trunk, Rollout>();
  /** One record for each policy: rows with the same one share an adapter. */
  readonly #voices = new Map<BasePolicy, ForwardWeights>();

  constructor(hooks: RolloutHooks) {
    this.#hooks = hooks;
  }

  get busy(): boolean {
    return [...this.#rollouts.values()].some(({ busy }) => busy);
  }

  ask(
    policy: BasePolicy,
    orders: readonly Order[],
    hooks: Omit<GenerateHooks, keyof RolloutHooks>,
  ): Promise<Generation[]> {
    const { trunk, base } = policy;
    const rollout = this.#rollouts.get(trunk) ?? new Rollout(trunk, base.tokenizer, this.#hooks);
    this.#rollouts.set(trunk, rollout);
    const using = this.#voices.get(policy) ?? policy.using();
    this.#voices.set(policy, using);
    return rollout.ask(orders, using, hooks);
  }

  async run(): Promise<void> {
    for (;;) {
      const next = [...this.#rollouts.values()].find(({ busy }) => busy);
      if (!next) return;
      await next.run();
    }
  }
}
