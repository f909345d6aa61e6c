/** Takes traces out of the workbench: those a filter lets through, whole, as JSON lines or as a Parquet table. */
import type { ControllerApi, TraceFilter } from '../../workflows/protocol.ts';
import type { Trace } from '../../workflows/schema/trace.ts';
import { PAGE } from './trace-list.ts';

/** More than this is no longer handed over by a browser in one piece. */
export const EXPORT_MAX = 2_000;
const BYTES_MAX = 400e6;

export type Exported = { readonly lines: string[]; readonly listed: number };

/** Whole traces, one JSON object a line, as many as a browser hands over; `listed` is how many the filter lets through. */
export async function exportLines(
  api: Pick<ControllerApi, 'traces' | 'trace'>,
  run: string,
  filter: TraceFilter,
  onProgress: (done: number, total: number) => void,
): Promise<Exported> {
  const lines: string[] = [];
  let bytes = 0;
  for (;;) {
    const { total, rows } = await api.traces(run, { ...filter, offset: lines.length, limit: PAGE });
    for (const { id } of rows) {
      if (lines.length >= EXPORT_MAX || bytes > BYTES_MAX) return { lines, listed: total };
      const line = JSON.stringify(await api.trace(run, id));
      bytes += 2 * line.length;
      lines.push(line);
      onProgress(lines.length, Math.min(total, EXPORT_MAX));
    }
    if (rows.length === 0 || lines.length >= total) return { lines, listed: total };
  }
}

/** The same traces as a table. The writer comes when it is first asked for. */
export async function parquetOf(lines: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  const { tracesParquet } = await import('../../workflows/export/parquet.ts');
  return tracesParquet(lines.map((line) => JSON.parse(line) as Trace));
}
