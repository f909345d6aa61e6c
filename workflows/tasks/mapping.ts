/**
 * A mapping from a file's own field names to ours: "question=prompt,answer=meta.target". Names on the left are question,
 * answer, id and paragraphs; any other becomes a value that an input node may hand out. A dot reaches into an object.
 */
import { UserError } from '../../engine/errors.ts';
import type { Json } from '../schema/value.ts';
import type { Line } from './jsonl.ts';

export type Mapping = ReadonlyMap<string, readonly string[]>;

const own = ['question', 'answer', 'id', 'paragraphs'] as const;
const portName = /^(?!constructor$)[a-z][a-z0-9_-]{0,63}$/;

/** Throws a UserError for a text that is no mapping, or one without question and answer. */
export function parseMapping(text: string): Mapping {
  const mapping = new Map<string, string[]>();
  for (const pair of text.split(',')) {
    const [to, from, ...rest] = pair.split('=').map((side) => side.trim());
    if (!to || !from || rest.length > 0 || !portName.test(to))
      throw new UserError(`Not a mapping: ${pair.slice(0, 60)}; write it as question=FIELD,answer=FIELD`);
    if (mapping.has(to)) throw new UserError(`The mapping names ${to} twice: ${text.slice(0, 80)}; name it once`);
    mapping.set(to, from.split('.'));
  }
  for (const needed of ['question', 'answer'])
    if (!mapping.has(needed))
      throw new UserError(`The mapping says nothing of the ${needed}: ${text.slice(0, 80)}; add ${needed}=FIELD`);
  return mapping;
}

/** The line under our names, and what else the mapping names. Throws a UserError where a field is not there. */
export function mapped(line: Line, mapping: Mapping, name: string): { line: Line; values: Record<string, Json> } {
  const value: Record<string, unknown> = {};
  const values: Record<string, Json> = {};
  for (const [to, from] of mapping) {
    const found = reach(line.value, from);
    if (found === undefined)
      throw new UserError(
        `${name}, line ${line.number}: there is no field ${from.join('.')}, which the mapping takes for ${to}; it has ${Object.keys(line.value).slice(0, 12).join(', ')}`,
      );
    if ((own as readonly string[]).includes(to)) value[to] = found;
    else values[to] = found as Json;
  }
  return { line: { number: line.number, value }, values };
}

function reach(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const step of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string, unknown>)[step];
  }
  return at;
}
