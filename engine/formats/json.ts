/**
 * JSON from outside, bounded and checked. Readers name the file and the field in what they throw, so that every mistake
 * in a model's files comes out as one sentence.
 */
import { UserError } from '../errors.ts';
import { readWhole } from './source.ts';
import type { ByteSource } from './bytes-source.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses UTF-8 JSON whose top is an object. */
export function parseObject(name: string, bytes: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new UserError(`${name} is not valid JSON; download or copy it again`);
  }
  if (!isObject(value)) throw new UserError(`${name} does not hold a JSON object; check that it is the right file`);
  return value;
}

export async function readObject(source: ByteSource, maxBytes: number): Promise<JsonObject> {
  return parseObject(source.name, await readWhole(source, maxBytes));
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A short, safe rendering of a value for a sentence. */
export function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A whole number within bounds; `fallback` when the field is absent or null (none: then it is required). */
export function wholeNumber(
  file: string,
  object: JsonObject,
  field: string,
  min: number,
  max: number,
  fallback?: number,
): number {
  const value = object[field] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new UserError(`${file}: ${field} must be a whole number from ${min} to ${max}, not ${show(object[field])}`);
  }
  return value;
}

/** A finite number within bounds; `fallback` when the field is absent or null (none: then it is required). */
export function realNumber(
  file: string,
  object: JsonObject,
  field: string,
  min: number,
  max: number,
  fallback?: number,
): number {
  const value = object[field] ?? fallback;
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw new UserError(`${file}: ${field} must be a number from ${min} to ${max}, not ${show(object[field])}`);
  }
  return value;
}

export function truth(file: string, object: JsonObject, field: string, fallback: boolean): boolean {
  const value = object[field] ?? fallback;
  if (typeof value !== 'boolean')
    throw new UserError(`${file}: ${field} must be true or false, not ${show(object[field])}`);
  return value;
}
