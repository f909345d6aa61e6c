/**
 * What an edge carries: a value, the records it came of, and for a list which records each item came of, so that a node run
 * once for every item knows its true parents.
 */
import type { Json } from '../schema/value.ts';
import { isListType } from '../schema/value.ts';
import type { Port, PortType } from '../schema/workflow.ts';

export type Carried = { value: Json; records: readonly string[]; items?: readonly (readonly string[])[] };

/** What a port holds: of several values, lists are joined and otherwise the first counts. Null where there is none. */
export function joined(port: Pick<Port, 'type'>, found: readonly Carried[]): Carried | null {
  if (found.length === 0) return null;
  if (!isListType(port.type)) return found[0];
  return {
    value: found.flatMap((each) => each.value),
    records: found.flatMap((each) => each.records),
    items: found.flatMap(itemRecords),
  };
}

/** The records of each item; a value that is no list counts as one item. */
export function itemRecords({ value, records, items }: Carried): readonly (readonly string[])[] {
  return items ?? (Array.isArray(value) ? value.map(() => records) : [records]);
}

/** The type of a port whose values come as a list, one for every sample or item. */
export function listOf(type: PortType): PortType {
  return type === 'text' ? 'list' : 'json';
}
