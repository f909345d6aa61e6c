/**
 * Which written teams are consistent, after MAS-GPT (arXiv 2503.03686), whose two steps rewrite with a large model; here they
 * only filter. Inter-consistency: like questions get like teams, so of each group of like questions the shape that scored
 * best over all of them is kept. Intra-consistency: an output agrees with itself: it says why, everything it draws is used,
 * and its own team gave the answer.
 */
import { UserError } from '../../engine/errors.ts';
import { normalise } from '../rewards/answer.ts';
import type { TuneSettings } from '../schema/run.ts';
import { lint } from '../schema/lint.ts';
import { parseWorkflow } from '../schema/migrate.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Parser, Workflow } from '../schema/workflow.ts';
import { mean, scoreOf } from './summary.ts';

type Writing = Extract<Parser, { kind: 'workflow' }>;
type Judge = (trace: Trace, record: TraceRecord) => boolean;

/** Questions are alike when this share of their words is common (Jaccard). */
const likeness = 0.5;

/** Whether a record may be imitated; those of roles that write no teams always may. */
export function consistentRecords(
  traces: readonly Trace[],
  roles: Workflow['roles'],
  which: TuneSettings['consistency'],
): Judge {
  const writingOf = ({ role }: TraceRecord): Writing | null => {
    const parser = role === undefined ? undefined : roles[role]?.parser;
    return parser?.kind === 'workflow' ? parser : null;
  };
  const intra = which === 'intra' || which === 'both';
  const best = which === 'inter' || which === 'both' ? bestShapes(traces, writingOf) : null;
  return (trace, record) => {
    const writing = writingOf(record);
    if (writing === null) return true;
    const team = teamOf(record, writing);
    if (team === null) return which === 'none';
    if (intra && !agrees(trace, record, writing, team)) return false;
    return best === null || best.get(trace) === shapeOf(team);
  };
}

function teamOf({ outputs }: TraceRecord, { port }: Writing): Workflow | null {
  try {
    return parseWorkflow(outputs[port]);
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

function agrees(trace: Trace, record: TraceRecord, { reasoning }: Writing, team: Workflow): boolean {
  if (reasoning !== undefined && record.outputs[reasoning] === '') return false;
  // Rewards are no part of what a role writes.
  if (lint(team).some(({ code }) => code !== 'reward-unreceived')) return false;
  return trace.records.some(
    ({ kind, parents, error, outputs }) =>
      kind === 'team' && parents.includes(record.id) && error === undefined && outputs['answer'] !== '',
  );
}

/** For every trace, the shape that scored best on the questions like its own. */
function bestShapes(
  traces: readonly Trace[],
  writingOf: (record: TraceRecord) => Writing | null,
): Map<Trace, string | undefined> {
  const groups: { words: Set<string>; traces: Trace[] }[] = [];
  for (const trace of traces) {
    const words = new Set(normalise(trace.query.question).split(' '));
    const group = groups.find((each) => alike(each.words, words));
    if (group === undefined) groups.push({ words, traces: [trace] });
    else group.traces.push(trace);
  }
  const best = new Map<Trace, string | undefined>();
  for (const group of groups) {
    const scores = new Map<string, number[]>();
    for (const trace of group.traces)
      for (const record of trace.records) {
        const writing = writingOf(record);
        const team = writing === null ? null : teamOf(record, writing);
        if (team !== null) scores.set(shapeOf(team), [...(scores.get(shapeOf(team)) ?? []), scoreOf(trace)]);
      }
    const ranked = [...scores].sort(([, a], [, b]) => mean(b) - mean(a) || b.length - a.length);
    for (const trace of group.traces) best.set(trace, ranked[0]?.[0]);
  }
  return best;
}

function alike(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  const common = [...a].filter((word) => b.has(word)).length;
  return common >= likeness * (a.size + b.size - common);
}

/** What a team is apart from its words and names: its kinds of steps and how they are joined. */
function shapeOf({ nodes, edges, roles }: Workflow): string {
  const label = new Map(
    nodes.map((node) => {
      if (node.kind === 'tool') return [node.id, `tool ${node.tool}`];
      if (node.kind !== 'role') return [node.id, node.kind];
      return [
        node.id,
        `role ${roles[node.role]?.parser.kind} ${node.samples ?? 1}${node.each === undefined ? '' : ' each'}`,
      ];
    }),
  );
  const wires = edges.map(({ from, to }) => `${label.get(from.node)} > ${label.get(to.node)}`);
  return JSON.stringify([[...label.values()].sort(), wires.sort()]);
}
