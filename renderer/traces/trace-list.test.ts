import { describe, expect, it } from 'vitest';
import type { TraceFilter, TraceRow } from '../../workflows/protocol.ts';
import { EXPORT_MAX, exportLines } from './export.ts';
import {
  cell,
  filterOf,
  fittingColumns,
  gridOf,
  hiddenFilters,
  isColumn,
  marksOf,
  missingPages,
  noFilters,
  PAGE,
  PAGES_KEPT,
  rangeOf,
  rowAt,
  spokenMeans,
  spokenRow,
  stepsOf,
  surplusPages,
  usualColumns,
} from './trace-list.ts';

const row: TraceRow = {
  ...{ id: '3-train-q1', query: 'q1', step: 3, phase: 'train', question: 'Who?', answer: 'Mira', status: 'done' },
  ...{ score: 1, f1: 1, em: 1, reward: 0.5, legal: false, failed: true, records: 4, tokens: 20 },
  roles: { asker: [-0.5, false, 2], mute: [null, true, 1] },
} as TraceRow;

describe('trace list', () => {
  it('asks only for what is filtered and missing', () => {
    expect(filterOf(noFilters, 2)).toEqual({ offset: 2 * PAGE, limit: PAGE });
    expect(filterOf({ ...noFilters, text: ' x ', step: 0, phase: 'eval', legality: 'illegal' }, 0)).toEqual({
      offset: 0,
      limit: PAGE,
      text: 'x',
      step: 0,
      phase: 'eval',
      legal: false,
    });
    const more = { role: 'asker', failure: 'failed', reward: '-1--0.5', score: '0.5-', tag: 'odd' } as const;
    expect(filterOf({ ...noFilters, ...more, range: '10-20', order: 'worst', query: 'q1' }, 0)).toEqual({
      ...{ offset: 0, limit: PAGE, from: 10, to: 20, role: 'asker', failed: true, tag: 'odd', query: 'q1' },
      ...{ reward: [-1, -0.5], score: [0.5, Infinity], order: 'worst' },
    });
    expect(hiddenFilters({ ...noFilters, ...more })).toBe(5);
    expect(missingPages(50, 250, 100_000, new Set([1]))).toEqual([0, 2]);
    expect(missingPages(0, 30, 0, new Set())).toEqual([]);
    expect(missingPages(0, 500, 120, new Set())).toEqual([0, 1]);
  });

  it('reads bounds and steps as people write them, and nothing else', () => {
    expect(['0.5', '0.2 - 1', '-1--0.5', '−1', '0.5-', '..3'].map(rangeOf)).toEqual([
      [0.5, 0.5],
      [0.2, 1],
      [-1, -0.5],
      [-1, -1],
      [0.5, Infinity],
      [-Infinity, 3],
    ]);
    expect(['', 'x', '-', '1-2-3', '1e9'].map(rangeOf)).toEqual([null, null, null, null, null]);
    expect(['12', ' 10-20', '-20', '10-'].map(stepsOf)).toEqual([
      { step: 12 },
      { range: [10, 20] },
      { range: [0, 20] },
      { range: [10, Infinity] },
    ]);
    expect(['', '-', 'a', '1.5'].map(stepsOf)).toEqual([null, null, null, null]);
  });

  it('finds a row in its page, and lets far pages go', () => {
    expect(rowAt(new Map([[1, [row]]]), PAGE)).toBe(row);
    expect(rowAt(new Map(), 3)).toBeUndefined();
    const known = Array.from({ length: PAGES_KEPT + 2 }, (_, page) => page);
    expect(surplusPages(known, PAGES_KEPT + 1).sort()).toEqual([0, 1]);
    expect(surplusPages([1, 2], 1)).toEqual([]);
  });

  it('shows the columns there is room for, the question always', () => {
    expect(fittingColumns(usualColumns, 120)).toEqual(['question']);
    expect(fittingColumns(usualColumns, 380)).toEqual(['step', 'question', 'score', 'reward', 'marks']);
    expect(fittingColumns(['tokens', 'role:asker'], 2_000)).toEqual(['question', 'tokens', 'role:asker']);
    expect(gridOf(['step', 'question', 'role:asker'])).toBe('38px minmax(130px, 3fr) 64px');
    expect([isColumn('role:x'), isColumn('step'), isColumn('colour'), isColumn(3)]).toEqual([true, true, false, false]);
  });

  it('says what all listed traces come to', () => {
    expect(spokenMeans({ score: 0.5, reward: -0.125, illegal: 0.142, dropped: 0 })).toBe(
      'mean score 0.50, mean reward −0.13, 14 % illegal',
    );
    expect(spokenMeans({ score: 1, reward: 0, illegal: 0, dropped: 0.004 })).toContain('0 % illegal, 0.4 % dropped');
  });

  it('writes cells, marks and what is read aloud', () => {
    expect(
      ['step', 'score', 'role:asker', 'role:mute', 'role:none', 'marks'].map((one) => cell(row, one as never)),
    ).toEqual([...['3', '1.00', '−0.50', '–', '–', 'illegal, tool failed']]);
    expect(marksOf({ ...row, status: 'dropped' })).toEqual(['dropped']);
    expect(spokenRow({ ...row, group: 3, tags: ['odd'] })).toBe(
      '3 traces of this question, step 3, training: Who?, score 1.00, reward +0.50, illegal, tool failed, tagged odd',
    );
  });
});

describe('export', () => {
  it('takes every page of what is listed, in order, up to its limit', async () => {
    const asked: unknown[] = [];
    const api = (total: number) => ({
      traces: async (_: string, { offset = 0, limit = 0, text }: TraceFilter) => {
        asked.push([offset, text]);
        const rows = Array.from({ length: Math.min(limit, total - offset) }, (_, i) => ({
          ...row,
          id: `t${offset + i}`,
        }));
        return { total, rows, means: null };
      },
      trace: async (_: string, id: string) => ({ id }) as never,
    });
    const some = await exportLines(api(150), 'r', { text: 'x', offset: 900 }, () => {});
    expect(some.lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(
      Array.from({ length: 150 }, (_, i) => `t${i}`),
    );
    expect(asked).toEqual([
      [0, 'x'],
      [100, 'x'],
    ]);
    const many = await exportLines(api(5_000), 'r', {}, () => {});
    expect([many.lines.length, many.listed]).toEqual([EXPORT_MAX, 5_000]);
    expect((await exportLines(api(0), 'r', {}, () => {})).lines).toEqual([]);
  });
});
