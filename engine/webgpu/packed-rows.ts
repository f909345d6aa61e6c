/**
 * The tokens of a batch as rows without padding, in the order [what all sequences begin with, each sequence's own rest], and
 * what kernels must know of them: ids, positions, tiles of queries and keys, which rows are asked for. A sequence ends with
 * the last row that is asked of it, since no row sees a later one; sequences of which nothing is asked have no rows.
 */
import type { TokenBatch } from '../model/trunk.ts';
import { KEY_TILE, QUERY_TILE } from './kernels/attend-rows.ts';
import { NO_ROW } from './kernels/take-rows.ts';

export type PackedRows = {
  readonly count: number;
  readonly ids: Int32Array; // [count]
  readonly positions: Uint32Array; // [count]
  /** Positions of the longest sequence, in fours. */
  readonly stride: number;
  readonly queryTiles: Uint32Array; // [tiles, 4], see attend-rows.ts
  readonly keyTiles: Uint32Array; // [tiles, 4]
  /** The row of each one asked for, and for each row where it stands among those. */
  readonly picks: Uint32Array; // [asked]
  readonly places: Uint32Array; // [count]
};

/** rows: of [batch * length], each at most once. */
export function packRows({ prefix, ids, batch, length }: TokenBatch, rows: Int32Array): PackedRows {
  const shared = prefix?.length ?? 0;
  const lengths = new Uint32Array(batch);
  for (const row of rows)
    lengths[Math.floor(row / length)] = Math.max(lengths[Math.floor(row / length)], (row % length) + 1);
  const begins = new Uint32Array(batch);
  let count = shared;
  for (let b = 0; b < batch; b++) {
    begins[b] = count;
    count += lengths[b];
  }
  const packed = new Int32Array(count);
  const positions = Uint32Array.from({ length: count }, (_, row) => row);
  if (prefix) packed.set(prefix);
  for (let b = 0; b < batch; b++) {
    packed.set(ids.subarray(b * length, b * length + lengths[b]), begins[b]);
    for (let t = 0; t < lengths[b]; t++) positions[begins[b] + t] = shared + t;
  }
  const picks = Uint32Array.from(rows, (row) => begins[Math.floor(row / length)] + (row % length));
  const places = new Uint32Array(count).fill(NO_ROW);
  for (const [i, row] of picks.entries()) places[row] = i;
  const longest = shared + lengths.reduce((most, own) => Math.max(most, own), 0);
  const spans = [
    { begin: 0, end: shared, before: 0, seenUntil: count },
    ...Array.from(lengths, (own, b) => {
      const end = begins[b] + own;
      return { begin: begins[b], end, before: shared, seenUntil: end };
    }),
  ];
  return {
    ...{ count, ids: packed, positions, picks, places, stride: Math.ceil(longest / KEY_TILE) * KEY_TILE },
    queryTiles: tilesOf(spans, QUERY_TILE, (row, rows, { begin, before }) => [row, rows, begin, before]),
    keyTiles: tilesOf(spans, KEY_TILE, (row, rows, { seenUntil }) => [row, rows, seenUntil, positions[row]]),
  };
}

/** Rows that see the same sequence. */
type Span = { readonly begin: number; readonly end: number; readonly before: number; readonly seenUntil: number };

function tilesOf(
  spans: readonly Span[],
  size: number,
  words: (row: number, rows: number, span: Span) => readonly number[],
): Uint32Array {
  const tiles: number[] = [];
  for (const span of spans)
    for (let row = span.begin; row < span.end; row += size)
      tiles.push(...words(row, Math.min(size, span.end - row), span));
  return Uint32Array.from(tiles);
}

/** Tiles first … first + tiles - 1, which are rows firstRow … endRow - 1. */
export type QueryChunk = {
  readonly firstTile: number;
  readonly tiles: number;
  readonly firstRow: number;
  readonly endRow: number;
};

/** Queries in chunks whose scores, [rows, heads, stride], are at most `most` numbers each; a tile is never cut. */
export function queryChunks({ queryTiles, stride }: PackedRows, heads: number, most: number): QueryChunk[] {
  const rowsMost = Math.max(QUERY_TILE, Math.floor(most / (heads * stride)));
  const chunks: QueryChunk[] = [];
  for (let tile = 0; tile < queryTiles.length / 4; tile++) {
    const [row, rows] = queryTiles.subarray(4 * tile);
    const last = chunks.at(-1);
    if (last && row + rows - last.firstRow <= rowsMost)
      chunks[chunks.length - 1] = { ...last, tiles: last.tiles + 1, endRow: row + rows };
    else chunks.push({ firstTile: tile, tiles: 1, firstRow: row, endRow: row + rows });
  }
  return chunks;
}
