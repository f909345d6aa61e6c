/**
 * Lines of JSON from a file somebody else wrote: sizes bounded, every complaint with its line.
 */
import { UserError } from '../../engine/errors.ts';

export type Line = { number: number; value: Record<string, unknown> };

const maxFileBytes = 2 ** 30;
const maxLineBytes = 16 * 2 ** 20;
/** A JSON array is read whole, which takes several times its size. */
const maxArrayBytes = 256 * 2 ** 20;
const newline = 10;

/** The objects of a file: JSON lines, or one JSON array of objects, whose entries are counted as lines. */
export function* objectRows(bytes: Uint8Array, name: string, maxRows: number): Generator<Line> {
  if (!/^\ufeff?\s*\[\s*\{/.test(new TextDecoder().decode(bytes.subarray(0, 1_000)))) {
    yield* objectLines(bytes, name, maxRows);
    return;
  }
  if (bytes.length > maxArrayBytes)
    throw new UserError(
      `The file is one JSON array of more than 256 MiB: ${name} (${bytes.length} bytes); write one object a line`,
    );
  const rows = parseArray(decode(new TextDecoder('utf-8', { fatal: true }), bytes, name, 1), name);
  if (rows.length > maxRows) throw new UserError(`${name} has more than ${maxRows} entries; use a part of it`);
  for (const [index, row] of rows.entries()) yield { number: index + 1, value: asObject(row, name, index + 1) };
}

function parseArray(text: string, name: string): unknown[] {
  try {
    return JSON.parse(text) as unknown[];
  } catch (error) {
    throw new UserError(
      `${name} begins as a JSON array and is none: ${error instanceof Error ? error.message.slice(0, 80) : ''}; was it cut off?`,
    );
  }
}

/** The objects of a JSON-lines file in UTF-8; empty lines are passed over. Throws a UserError naming file and line. */
export function* objectLines(bytes: Uint8Array, name: string, maxLines: number): Generator<Line> {
  if (bytes.length > maxFileBytes)
    throw new UserError(`The file is larger than 1 GiB: ${name} (${bytes.length} bytes); use a part of it`);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let count = 0;
  let number = 0;
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(newline, start);
    const end = found < 0 ? bytes.length : found;
    number += 1;
    if (end - start > maxLineBytes)
      throw new UserError(`${name}, line ${number}: longer than 16 MiB; the file must hold one JSON object a line`);
    const text = decode(decoder, bytes.subarray(start, end), name, number).trim();
    start = end + 1;
    if (text === '') continue;
    count += 1;
    if (count > maxLines) throw new UserError(`${name} has more than ${maxLines} lines; use a part of it`);
    yield { number, value: parseObject(text, name, number) };
  }
}

function decode(decoder: TextDecoder, bytes: Uint8Array, name: string, number: number): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new UserError(`${name}, line ${number}: not UTF-8 text; save the file as UTF-8`);
  }
}

function parseObject(text: string, name: string, number: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(
      `${name}, line ${number}: not JSON: ${text.slice(0, 60)}; the file must hold one JSON object a line`,
    );
  }
  return asObject(value, name, number);
}

function asObject(value: unknown, name: string, number: number): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new UserError(
    `${name}, line ${number}: not an object: ${JSON.stringify(value).slice(0, 60)}; the file must hold one JSON object a line`,
  );
}

/** A text field. Throws a UserError where it is missing, empty, too long or no text. */
export function fieldText(line: Line, name: string, field: string, maxChars: number, mayBeEmpty = false): string {
  const value = line.value[field];
  if (typeof value !== 'string')
    throw new UserError(
      `${name}, line ${line.number}: "${field}" must be a text: ${(JSON.stringify(value) ?? 'nothing').slice(0, 60)}`,
    );
  if (!mayBeEmpty && value.trim() === '') throw new UserError(`${name}, line ${line.number}: "${field}" is empty`);
  if (value.length > maxChars)
    throw new UserError(
      `${name}, line ${line.number}: "${field}" is longer than ${maxChars} characters: ${value.length}`,
    );
  return value;
}
