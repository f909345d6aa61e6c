/** What a person is told of memory, and when a run is refused. */
import { describe, expect, it } from 'vitest';
import type { MemoryLoad, MemoryPlan, ModelInfo } from '../../engine/protocol.ts';
import { configOf } from '../train/test-support.ts';
import { checkMemory, type Planner } from './memory.ts';

const GIB = 2 ** 30;

function plannerOf(plan: (load: MemoryLoad) => MemoryPlan | null): Planner & { readonly asked: MemoryLoad[] } {
  const asked: MemoryLoad[] = [];
  return {
    asked,
    inspect: async () => ({ contextLength: 512 }) as ModelInfo,
    plan: async (_model, load) => {
      asked.push(load);
      return plan(load);
    },
  };
}

const planned = ({ tokenBudget, mostBytes }: MemoryLoad): MemoryPlan => ({
  parts: { rollout: { weights: GIB }, training: { weights: GIB, kept: GIB, head: 1000 } },
  peakBytes: 2 * GIB,
  tokenBudget: mostBytes >= 2 * GIB ? tokenBudget : mostBytes >= GIB ? tokenBudget >> 2 : null,
});

describe('memory of a run', () => {
  const config = configOf({ ppo: { tokenBudget: 4096 } });
  const within = (memoryGiB: number): typeof config => ({ ...config, settings: { ...config.settings, memoryGiB } });

  it('is said by part, the largest first', async () => {
    const planner = plannerOf(planned);
    expect(await checkMemory(config, planner)).toBe(
      'Device memory at most 2.00 GiB. While sampling weights 1.00; while training weights 1.00, kept 1.00.',
    );
    expect(planner.asked[0]).toMatchObject({ rollout: 'f32', positions: 512, policies: [{ kind: 'full' }] });
  });

  it('counts half floats where every policy that learns has them', async () => {
    const asked = async (...ways: readonly { frozen?: boolean; activations?: 'f32' | 'f16' }[]) => {
      const [[, policy]] = Object.entries(config.cast.policies);
      const policies = Object.fromEntries(ways.map((way, i) => [`p${i}`, { ...policy, ...way }]));
      const planner = plannerOf(planned);
      await checkMemory({ ...config, cast: { ...config.cast, policies } }, planner);
      return planner.asked[0].activations;
    };
    expect(await asked({ activations: 'f16' }, { activations: 'f16' }, { frozen: true })).toBe('f16');
    expect(await asked({ activations: 'f16' }, {})).toBe(undefined);
    expect(await asked({ activations: 'f16', frozen: true })).toBe(undefined);
  });

  it('is refused beyond what it may be, with the largest setting that fits', async () => {
    await expect(checkMemory(within(1.5), plannerOf(planned))).rejects.toThrow(
      `This run would take up to 2.00 GiB of device memory and may take 1.50; the largest micro-batch that fits is 1024 tokens: add --set tokenBudget=1024`,
    );
    await expect(checkMemory(within(0.5), plannerOf(planned))).rejects.toThrow('no micro-batch is small enough');
    await expect(checkMemory(within(-1), plannerOf(planned))).rejects.toThrow('No run fits into -1 GiB');
    expect(await checkMemory(within(2), plannerOf(planned))).toContain('2.00 GiB');
  });

  it('is silent where nothing is planned, unless a limit was asked for', async () => {
    expect(
      await checkMemory(
        config,
        plannerOf(() => null),
      ),
    ).toBe(null);
    await expect(
      checkMemory(
        within(4),
        plannerOf(() => null),
      ),
    ).rejects.toThrow('only planned on WebGPU');
  });
});
