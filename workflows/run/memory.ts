/**
 * The team's shared memory during one question: typed fields that memory nodes append to or replace, each knowing which
 * records made it what it is. Values are never changed in place, so that what a record gave stays what it was.
 */
import { UserError } from '../../engine/errors.ts';
import { emptyValue, isListType, isOfType, type Json, type Values } from '../schema/value.ts';
import type { MemoryField, Port, WorkflowNode } from '../schema/workflow.ts';
import type { Carried } from './carry.ts';
import { Dropped } from './dropped.ts';

type MemoryNode = Extract<WorkflowNode, { kind: 'memory' }>;
type Fields = Readonly<Record<string, MemoryField>>;

export type Memory = Map<string, Carried>;

/** Most items a field may hold; a loop of models fills it. */
const maxItems = 1_000;

/** The port a memory node waits for without reading it. */
export const afterPort = 'after';

/** Throws a UserError for a field that the workflow's memory does not have or that cannot be appended to. */
export function memoryPorts(fields: Fields | undefined, node: MemoryNode): { inputs: Port[]; outputs: Port[] } {
  const typeOf = (name: string) => {
    if (fields === undefined || !Object.hasOwn(fields, name))
      throw new UserError(
        `Node ${node.id} names a field that the memory does not have: ${name}; use one of ${Object.keys(fields ?? {}).join(', ') || 'the fields you define under "memory"'}`,
      );
    return fields[name].type;
  };
  const inputs = node.write.map(({ field, how }): Port => {
    const type = typeOf(field);
    if (how === 'append' && !isListType(type) && type !== 'json')
      throw new UserError(
        `Node ${node.id} appends to a field that is no list: ${field} is a ${type}; replace it, or make it a list`,
      );
    return { name: field, type, optional: false };
  });
  const known = new Set([...node.write.map(({ field }) => field), ...node.read]);
  return {
    inputs: [...inputs, { name: afterPort, type: 'json', optional: true }],
    outputs: [...known].map((name) => ({ name, type: typeOf(name), optional: false })),
  };
}

/** The memory as it is before the first record. Throws a UserError for an initial value of another type. */
export function openMemory(fields: Fields | undefined): Memory {
  return new Map(
    Object.entries(fields ?? {}).map(([name, { type, initial }]) => {
      const value = (initial ?? emptyValue(type)) as Json;
      if (!isOfType(value, type))
        throw new UserError(
          `The memory begins with a value of another type (${name} is a ${type}): ${JSON.stringify(value).slice(0, 60)}; correct its "initial"`,
        );
      return [name, { value, records: [] }];
    }),
  );
}

/** The records that made what a memory node builds on: those of every field it appends to or only reads. */
export function memoryParents(memory: Memory, node: MemoryNode): string[] {
  const replaced = new Set(node.write.filter(({ how }) => how === 'replace').map(({ field }) => field));
  const fields = [...node.write.map(({ field }) => field), ...node.read].filter((field) => !replaced.has(field));
  return [...new Set(fields.flatMap((field) => memory.get(field)!.records))];
}

/** Writes a node's inputs in the name of `record`. Throws Dropped where a list grows past all bounds. */
export function remember(memory: Memory, fields: Fields, node: MemoryNode, values: Values, record: string): void {
  for (const { field, how } of node.write) {
    const given = values[field];
    memory.set(field, how === 'replace' ? { value: given, records: [record] } : appended(memory, fields, field));
    const held = memory.get(field)!.value;
    if (Array.isArray(held) && held.length > maxItems)
      throw new Dropped(`${node.id}: the memory holds more than ${maxItems} items in ${field}`);
  }

  function appended(from: Memory, types: Fields, field: string): Carried {
    const before = from.get(field)!;
    const old = Array.isArray(before.value) ? before.value : before.value === null ? [] : [before.value];
    const given = values[field];
    const added = types[field].type === 'json' ? [given] : ([] as Json[]).concat(given);
    return {
      value: [...old, ...added],
      records: [record],
      items: [...(before.items ?? old.map(() => before.records)), ...added.map(() => [record])],
    };
  }
}
