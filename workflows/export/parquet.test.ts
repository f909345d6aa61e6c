import { parquetReadObjects } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { traceSchema } from '../schema/trace.ts';
import { tracesParquet } from './parquet.ts';

const record = { kind: 'role', title: '', turn: 0, parents: [], inputs: {}, outputs: { out: ['a', 'b'] } };
const trace = (id: string, records: object[]) =>
  traceSchema.parse({
    troupe: 'trace',
    version: 1,
    id,
    workflow: 'w',
    phase: 'train',
    step: 3,
    query: { id: 'q', question: 'Wo wohnt “Mira”?\n', answers: ['Oakton'] },
    status: 'done',
    answer: 'Oakton',
    score: { f1: 0.5 },
    records,
  });
const tokens = { promptIds: [1], ids: [2, 3], pieces: ['a', 'b'], logprobs: [-0.5, -1], entropy: [0.1, 0.2] };

describe('traces as Parquet', () => {
  it('are a table with a row for every record, read back as they were', async () => {
    const traces = [
      trace('one', [
        { ...record, id: 'ask#0', node: 'ask', role: 'asker', text: 'a b', legal: false, reward: -0.25, tokens },
        { ...record, id: 'end#0', node: 'end', kind: 'output' },
      ]),
      trace('two', [{ ...record, id: 'ask#0', node: 'ask', pinned: true }]),
    ];
    const rows = await parquetReadObjects({ file: tracesParquet(traces).slice().buffer });
    expect(rows.map((row) => [row.trace, row.record, row.pinned])).toEqual([
      ['one', 'ask#0', false],
      ['one', 'end#0', false],
      ['two', 'ask#0', true],
    ]);
    expect(rows[0]).toMatchObject({ question: 'Wo wohnt “Mira”?\n', step: 3, legal: false, reward: -0.25, tokens });
    expect(rows[0]).toMatchObject({ outputs: { out: ['a', 'b'] }, score: { f1: 0.5 }, answers: ['Oakton'] });
    expect([rows[1].role, rows[1].reward, rows[1].tokens]).toEqual([null, null, null]);
  });

  it('are an empty table where there is none', async () => {
    expect(await parquetReadObjects({ file: tracesParquet([]).slice().buffer })).toEqual([]);
  });
});
