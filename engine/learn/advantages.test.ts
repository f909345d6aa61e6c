/** Advantages of a step by hand: who is compared with whom, and what is left when nobody is. */
import { describe, expect, it } from 'vitest';
import type { GroupScope, PpoSettings } from '../protocol.ts';
import { advantagesOf } from './advantages.ts';
import { flatLayout, type TrainRecord } from './records.ts';
import { checkPpo, completed, ppoSettings } from './settings.ts';

const record = (reward: number, role: string, turn: number, prompt: number, group = 'q'): TrainRecord => ({
  record: `${group}${role}${turn}${reward}`,
  reward,
  role,
  turn,
  group,
  promptIds: [prompt],
  ids: [1, 2],
  logprobs: [-1, -1],
});
const defaults = ppoSettings({ parameters: 1e5, method: 'full', totalSteps: 10 });

/** One number a response: its two tokens have the same. */
function advantages(records: TrainRecord[], settings: Partial<PpoSettings>): number[] {
  const { starts, tokens } = flatLayout(records);
  const zeros = new Float32Array(tokens);
  const known = { starts, oldLogprobs: zeros, values: zeros, reference: null };
  const { advantages: flat } = advantagesOf(records, known, { ...defaults, whiten: 'none', ...settings });
  for (let r = 0; r < records.length; r++) expect(flat[2 * r]).toBe(flat[2 * r + 1]);
  return records.map((_, r) => flat[2 * r]);
}
const close = (found: number[], wanted: number[]) =>
  found.forEach((x, i) => expect(x, `response ${i}`).toBeCloseTo(wanted[i], 5));

describe('groups', () => {
  // Two samples of one question by two roles, the second role in two turns.
  const team = [
    record(1, 'a', 0, 1),
    record(10, 'b', 0, 2),
    record(2, 'b', 1, 3),
    record(0, 'a', 0, 1),
    record(20, 'b', 0, 4),
    record(6, 'b', 1, 5),
  ];

  it('of a role: Dr. MAS measures each role by its own mean and spread', () => {
    // a: 1, 0 (mean 0.5, std √0.5); b: 10, 2, 20, 6 (mean 9.5, std √(179/3)).
    const b = Math.sqrt(179 / 3);
    close(advantages(team, { estimator: 'grpo', group: 'role' }), [
      Math.SQRT1_2, 0.5 / b, -7.5 / b, -Math.SQRT1_2, 10.5 / b, -3.5 / b,
    ]); // prettier-ignore
  });

  it('of a role at a turn: AT-GRPO', () => {
    const half = Math.SQRT1_2;
    close(advantages(team, { estimator: 'grpo', group: 'role+turn' }), [half, -half, -half, -half, half, half]);
    close(advantages(team, { estimator: 'dr-grpo', group: 'role+turn' }), [0.5, -5, -2, -0.5, 5, 2]);
  });

  it('of a whole question mix the roles', () => {
    // mean 39 / 6 = 6.5
    close(advantages(team, { estimator: 'dr-grpo', group: 'query' }), [-5.5, 3.5, -4.5, -6.5, 13.5, -0.5]);
  });

  it('of one prefix: leave-one-out as C3 has it, and nothing else is compared', () => {
    const branches = [
      record(1, 'a', 0, 1),
      record(2, 'a', 0, 1),
      record(6, 'a', 0, 1),
      record(3, 'b', 0, 7),
      record(5, 'b', 0, 7),
      record(9, 'b', 0, 8),
    ];
    // a: 1 - (2+6)/2, 2 - (1+6)/2, 6 - (1+2)/2; b behind prefix 7: 3 - 5, 5 - 3; behind 8 alone, which keeps its score.
    close(advantages(branches, { estimator: 'rloo', group: 'prefix' }), [-3, -1.5, 4.5, -2, 2, 9]);
  });

  it.each<GroupScope>(['query', 'role', 'role+turn', 'prefix'])('never reach over questions: %s', (group) => {
    const both = [
      record(1, 'a', 0, 1, 'q'),
      record(3, 'a', 0, 1, 'q'),
      record(50, 'a', 0, 1, 'p'),
      record(70, 'a', 0, 1, 'p'),
    ];
    close(advantages(both, { estimator: 'dr-grpo', group }), [-1, 1, -10, 10]);
  });
});

describe('settings of earlier versions', () => {
  it('work as they did then', () => {
    const { group: _, roleGradients: __, ...earlier } = defaults;
    expect(() => checkPpo(earlier as PpoSettings)).toThrow('group');
    expect(completed(earlier as PpoSettings)).toEqual({ ...defaults, group: 'query', roleGradients: 0 });
    expect(completed(defaults)).toEqual(defaults);
  });
});
