import { describe, expect, it } from 'vitest';
import { templateWorkflow } from '../../workflows/templates/index.ts';
import { grouped } from './groups.ts';
import { emptyWorkflow } from './team.ts';
import { measuredCounts, recordCounts, sumOf } from './record-counts.ts';

describe('records a question', () => {
  it('are one for each node a role plays, times the samples', () => {
    expect(recordCounts(templateWorkflow('qd-answer'))).toEqual({
      decomposer: { n: 1, how: 'exact' },
      answerer: { n: 1, how: 'exact' },
    });
    expect(recordCounts(templateWorkflow('voting')).voter).toEqual({ n: 3, how: 'exact' });
  });

  it('are bounded by the limits of the loops around a role, in a group too', () => {
    const team = templateWorkflow('m-ask');
    const loop = team.nodes.find((node) => node.kind === 'loop');
    const counts = recordCounts(team);
    expect(counts.planner).toEqual({ n: 1, how: 'exact' });
    expect(counts.searcher).toEqual({ n: loop?.limit, how: 'most' });
    expect(counts.answerer.n).toBe((loop?.limit ?? 0) + 1);
    const wider = { ...team, nodes: team.nodes.map((node) => (node.kind === 'loop' ? { ...node, limit: 7 } : node)) };
    expect(recordCounts(wider).searcher.n).toBe(7);
    const ids = team.nodes.flatMap((node) => (node.kind === 'role' && node.role === 'summariser' ? [node.id] : []));
    const neighbour = team.edges.find((edge) => edge.to.node === ids[0] && edge.from.port === 'passages')?.from.node;
    const inGroup = grouped(wider, [...ids, neighbour ?? ''], {}).workflow;
    expect(recordCounts(inGroup).summariser).toEqual({ n: 7, how: 'most' });
  });

  it('follow the length of a list that is taken item by item', () => {
    expect(recordCounts(templateWorkflow('orchestrator-workers')).worker).toEqual({ n: 3, how: 'most' });
  });

  it('are counted in a drawing that cannot run yet, and none in an empty one', () => {
    const loose = { ...templateWorkflow('qd-answer'), edges: [] };
    expect(recordCounts(loose).answerer).toEqual({ n: 1, how: 'exact' });
    expect(recordCounts(emptyWorkflow('a', 'A'))).toEqual({});
  });

  it('are what the last run made, where something decides in it', () => {
    const counts = recordCounts(templateWorkflow('m-ask'));
    const traces = [2, 3].map((n) => ({ roles: { searcher: [0, true, n] as const, planner: [0, true, 1] as const } }));
    const measured = measuredCounts(counts, traces);
    expect(measured.searcher).toEqual({ n: 2.5, how: 'measured' });
    expect(measured.updater).toEqual(counts.updater);
    expect(sumOf([measured.searcher, { n: 1, how: 'exact' }])).toEqual({ n: 3.5, how: 'measured' });
    expect(measuredCounts(counts, [])).toBe(counts);
  });
});
