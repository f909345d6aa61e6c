/**
 * Role confusion: how often what one role wrote would have been a legal output of another. On a shared policy it rises when
 * the roles run into each other. Only roles with a format of their own can tell: any text is legal where plain text is asked.
 */
import type { FinishReason } from '../../engine/protocol.ts';
import { parseText } from '../run/parse.ts';
import type { TraceRecord } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';

/** By role, "confusion/<other>": the share of the role's records that the other's parser takes for legal. */
export function roleConfusion(
  records: readonly TraceRecord[],
  roles: Workflow['roles'],
): Record<string, Record<string, number>> {
  const names = [...new Set(records.map((record) => record.role!))].sort();
  return Object.fromEntries(
    names.map((name) => {
      const own = records.filter((record) => record.role === name);
      const others = names.filter((other) => other !== name && tellsApart(roles, other, name));
      return [name, Object.fromEntries(others.map((other) => [`confusion/${other}`, shareLegal(own, roles[other])]))];
    }),
  );
}

function tellsApart(roles: Workflow['roles'], other: string, own: string): boolean {
  const [theirs, ours] = [roles[other]?.parser, roles[own]?.parser];
  if (theirs === undefined || theirs.kind === 'text') return false;
  return JSON.stringify({ ...theirs, port: '' }) !== JSON.stringify({ ...ours, port: '' });
}

function shareLegal(records: readonly TraceRecord[], { parser, sampling }: Workflow['roles'][string]): number {
  const legal = records.filter(
    ({ text, finish }) => parseText(parser, text ?? '', (finish ?? 'stop') as FinishReason, sampling.stop).legal,
  );
  return legal.length / records.length;
}
