/**
 * Traces as one Parquet table, a row for every record, for pandas, DuckDB, Polars and their like. Values that have a shape of
 * their own (what a record read and gave, its prompt, its rewards, its tokens) are JSON columns. Knows no files: whoever
 * writes one hands over where the bytes go.
 */
import { ByteWriter, ParquetWriter, schemaFromColumnData, type BasicType, type Writer } from 'hyparquet-writer';
import type { Trace, TraceRecord } from '../schema/trace.ts';

type Cell = string | number | boolean | object | null | undefined;
type Column = { readonly name: string; readonly type: BasicType; of(record: TraceRecord, trace: Trace): Cell };

const columns: readonly Column[] = [
  { name: 'trace', type: 'STRING', of: (_, trace) => trace.id },
  { name: 'workflow', type: 'STRING', of: (_, trace) => trace.workflow },
  { name: 'phase', type: 'STRING', of: (_, trace) => trace.phase },
  { name: 'step', type: 'INT32', of: (_, trace) => trace.step },
  { name: 'query', type: 'STRING', of: (_, trace) => trace.query.id },
  { name: 'question', type: 'STRING', of: (_, trace) => trace.query.question },
  { name: 'answers', type: 'JSON', of: (_, trace) => trace.query.answers },
  { name: 'status', type: 'STRING', of: (_, trace) => trace.status },
  { name: 'reason', type: 'STRING', of: (_, trace) => trace.reason },
  { name: 'answer', type: 'STRING', of: (_, trace) => trace.answer },
  { name: 'score', type: 'JSON', of: (_, trace) => trace.score },
  { name: 'fork_of', type: 'STRING', of: (_, trace) => trace.fork?.of },
  { name: 'record', type: 'STRING', of: ({ id }) => id },
  { name: 'node', type: 'STRING', of: ({ node }) => node },
  { name: 'kind', type: 'STRING', of: ({ kind }) => kind },
  { name: 'role', type: 'STRING', of: ({ role }) => role },
  { name: 'policy', type: 'STRING', of: ({ policy }) => policy },
  { name: 'turn', type: 'INT32', of: ({ turn }) => turn },
  { name: 'index', type: 'INT32', of: ({ index }) => index },
  { name: 'parents', type: 'JSON', of: ({ parents }) => parents },
  { name: 'inputs', type: 'JSON', of: ({ inputs }) => inputs },
  { name: 'outputs', type: 'JSON', of: ({ outputs }) => outputs },
  { name: 'prompt', type: 'JSON', of: ({ prompt }) => prompt },
  { name: 'text', type: 'STRING', of: ({ text }) => text },
  { name: 'finish', type: 'STRING', of: ({ finish }) => finish },
  { name: 'legal', type: 'BOOLEAN', of: ({ legal }) => legal },
  { name: 'problem', type: 'STRING', of: ({ problem }) => problem },
  { name: 'error', type: 'STRING', of: ({ error }) => error },
  { name: 'length', type: 'INT32', of: ({ length }) => length },
  { name: 'trainable', type: 'BOOLEAN', of: ({ trainable }) => trainable },
  { name: 'pinned', type: 'BOOLEAN', of: ({ pinned }) => pinned ?? false },
  { name: 'reward', type: 'DOUBLE', of: ({ reward }) => reward },
  { name: 'rewards', type: 'JSON', of: ({ rewards }) => rewards },
  { name: 'tokens', type: 'JSON', of: ({ tokens }) => tokens },
];

/** Takes traces as they come; each time they are written as a row group, so that memory holds no more than those. */
export type TraceTable = { add(traces: readonly Trace[]): void; finish(): void };

export function openTable(writer: Writer): TraceTable {
  const empty = columns.map(({ name, type }) => ({ name, type, data: [] }));
  const table = new ParquetWriter({
    writer,
    schema: schemaFromColumnData({ columnData: empty }),
    createdBy: 'Troupe',
  });
  return {
    add: (traces) => {
      const rows = traces.flatMap((trace) => trace.records.map((record) => ({ record, trace })));
      if (rows.length === 0) return;
      const columnData = columns.map(({ name, type, of }) => ({
        name,
        type,
        data: rows.map(({ record, trace }) => of(record, trace) ?? null),
      }));
      void table.write({ columnData });
    },
    finish: () => void table.finish(),
  };
}

/** All of them in one piece of memory. */
export function tracesParquet(traces: readonly Trace[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  const table = openTable(writer);
  table.add(traces);
  table.finish();
  return writer.getBytes();
}
