import { describe, expect, it } from 'vitest';
import { ppoSettings } from '../../engine/learn/settings.ts';
import { words } from '../../renderer/words.ts';
import { allows, settingFields } from './settings.ts';

const keys = (group: keyof typeof settingFields): string[] => settingFields[group].map(({ key }) => key);

describe('the settings that forms are made of', () => {
  it('are all there are, but for the length that follows from the steps', () => {
    const { kl, totalSteps, ...plain } = ppoSettings({ parameters: 1e6, method: 'full', totalSteps: 9 });
    expect(totalSteps).toBe(9);
    expect(keys('ppo').sort()).toEqual([...Object.keys(plain), ...Object.keys(kl).map((key) => `kl.${key}`)].sort());
    expect(keys('run')).toEqual(expect.arrayContaining(['steps', 'queries', 'samples', 'branch', 'memoryGiB', 'seed']));
    expect(keys('sft')).toEqual(expect.arrayContaining(['minScore', 'minReward', 'legal', 'consistency', 'lr']));
  });
  it('have a label and a hint each', () => {
    const said = Object.keys(words.settings);
    expect([...keys('run'), ...keys('ppo'), ...keys('sft')].filter((key) => !said.includes(key))).toEqual([]);
  });
  it('allow what the schemas allow and nothing else', () => {
    const field = (group: keyof typeof settingFields, key: string) =>
      settingFields[group].find((one) => one.key === key)!;
    expect(allows(field('run', 'steps'), 1)).toBe(true);
    expect(allows(field('run', 'steps'), 0)).toBe(false);
    expect(allows(field('run', 'steps'), 1.5)).toBe(false);
    expect(allows(field('run', 'seed'), 0xffffffff)).toBe(true);
    expect(field('run', 'branch')).toEqual({ key: 'branch', choices: [true, false, 'best'] });
    expect(allows(field('run', 'keepCheckpoints'), 'all')).toBe(true);
    expect(allows(field('ppo', 'whiten'), 'team')).toBe(false);
    expect(allows(field('sft', 'minScore'), 2)).toBe(false);
    expect(allows(field('sft', 'lr'), 11)).toBe(false);
  });
});
