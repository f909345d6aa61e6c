import { describe, expect, it } from 'vitest';
import { sampleTrace } from '../testing/fixture-controller.ts';
import { resultsOf } from './pins.ts';

const trace = sampleTrace(0);
const role = trace.records.find((record) => record.kind === 'role')!;

describe('results to pin', () => {
  it('are those of each node’s last visit; a question and an answer are none', () => {
    const again = { ...role, id: `${role.node}#1`, turn: 1, outputs: { queries: ['later'] } };
    expect(Object.keys(resultsOf(trace)).sort()).toEqual(['answer', 'decompose', 'retrieve']);
    expect(resultsOf(trace)[role.node]).toEqual(role.outputs);
    expect(resultsOf({ records: [...trace.records, again] })[role.node]).toEqual({ queries: ['later'] });
  });

  it('are lists where a visit made several records, in their order', () => {
    const records = [1, 0].map((index) => ({
      ...role,
      id: `${role.node}#0.${index}`,
      index,
      outputs: { out: `${index}` },
    }));
    expect(resultsOf({ records })).toEqual({ [role.node]: { out: ['0', '1'] } });
  });
});
