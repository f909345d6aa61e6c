/**
 * How often a role node asks its model at one visit: once, so many samples, once for every item of its `each` ports, or both.
 * Also joins what came back into the lists that the node gives. Order is items first, samples within.
 */
import type { TraceRecord } from '../schema/trace.ts';
import { isOfType, type Json, type Values } from '../schema/value.ts';
import type { Port, WorkflowNode } from '../schema/workflow.ts';
import { itemRecords, type Carried } from './carry.ts';
import { Dropped } from './dropped.ts';

type RoleNode = Extract<WorkflowNode, { kind: 'role' }>;

/** What one call reads, and the records it came of. */
export type CallInputs = { values: Values; parents: string[] };

/** Most calls one visit may make; a model's list decides how many items there are. */
const maxCalls = 64;

export function asksOften(node: Pick<RoleNode, 'samples' | 'each'>): boolean {
  return node.samples !== undefined || node.each !== undefined;
}

/** The inputs of every call of one visit. Throws Dropped for a list that cannot be taken item by item. */
export function callInputs(node: RoleNode, gathered: ReadonlyMap<string, Carried>): CallInputs[] {
  const items = itemCalls(node, gathered);
  const calls = items.flatMap((item) => Array.from({ length: node.samples ?? 1 }, () => item));
  if (calls.length > maxCalls) throw new Dropped(`${node.id}: more than ${maxCalls} calls at once: ${calls.length}`);
  return calls;
}

function itemCalls(node: RoleNode, gathered: ReadonlyMap<string, Carried>): CallInputs[] {
  const lists = eachLists(node.id, node.each ?? [], gathered);
  const count = lists.length === 0 ? 1 : Math.min(...lists.map(({ list }) => list.length));
  return Array.from({ length: count }, (_, i) => {
    const values: Values = {};
    const parents: string[] = [];
    for (const [name, carried] of gathered) {
      const list = lists.find((each) => each.name === name);
      values[name] = list === undefined ? carried.value : list.list[i];
      parents.push(...(list === undefined ? carried.records : itemRecords(carried)[i]));
      if (list !== undefined) checkItem(node, name, list.list[i]);
    }
    return { values, parents: [...new Set(parents)] };
  });
}

/** The lists of the ports that are taken item by item. */
export function eachLists(
  node: string,
  each: readonly string[],
  gathered: ReadonlyMap<string, Carried>,
): { name: string; list: Json[] }[] {
  return each.map((name) => {
    const value = gathered.get(name)?.value;
    if (!Array.isArray(value)) throw new Dropped(`${node}: ${name} is no list, and cannot be taken item by item`);
    if (value.length > maxCalls) throw new Dropped(`${node}: more than ${maxCalls} items in ${name}: ${value.length}`);
    return { name, list: value };
  });
}

function checkItem(node: RoleNode, name: string, item: Json): void {
  const { type } = node.inputs.find((port) => port.name === name)!;
  if (!isOfType(item, type))
    throw new Dropped(`${node.id}: an item of ${name} is no ${type}: ${JSON.stringify(item).slice(0, 60)}`);
}

/** What a visit with several records gives at each port: the records' values in order, an item a record. */
export function joinOutputs(ports: readonly Port[], records: readonly TraceRecord[]): Record<string, Carried> {
  return Object.fromEntries(
    ports.map(({ name }) => [
      name,
      {
        value: records.map((record) => record.outputs[name] as Json),
        records: records.map((record) => record.id),
        items: records.map((record) => [record.id]),
      },
    ]),
  );
}
