import { describe, expect, it } from 'vitest';
import { sampleTrace } from '../testing/fixture-controller.ts';
import { wentIn, wentWithin } from './went.ts';

describe('what became of nodes', () => {
  const [record] = sampleTrace(0).records;
  const at = (node: string, more: object = {}): typeof record => ({ ...record, node, ...more });
  const went = wentIn({
    records: [at('ask'), at('ask', { legal: false }), at('find', { error: 'no' }), at('g.a'), at('g.a'), at('g.b')],
  });

  it('is the worst of its visits, and how many there were', () => {
    expect(went.get('ask')).toEqual({ state: 'illegal', times: 2 });
    expect(went.get('find')).toEqual({ state: 'failed', times: 1 });
  });

  it('is told of a group from outside, and of each node within', () => {
    expect(wentWithin(went, '').g).toEqual({ state: 'done', times: 2 });
    expect(wentWithin([...went, ['g.b', { state: 'asked', times: 0 }]], '').g.state).toBe('asked');
    expect(wentWithin(went, 'g.')).toEqual({ a: { state: 'done', times: 2 }, b: { state: 'done', times: 1 } });
  });
});
