/** Rewards as a form: what each kind of value starts as, and what the rules gave in a run that they were tried on. */
import { rewardRuleSchema, type RewardRule, type RewardValue, type Series } from '../../workflows/schema/reward.ts';
import type { AssignedReward, Trace } from '../../workflows/schema/trace.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { freeName } from './names.ts';
import { portsOf } from './ports.ts';

export const valueKinds = ['score', 'own', 'last', 'change', 'cel', 'javascript'] as const;
export type ValueKind = (typeof valueKinds)[number];

/** Every series a rule can read: a role's or a node's port, as it is written in a choice. */
export function seriesOf(workflow: Workflow): { id: string; series: Series }[] {
  const all = workflow.nodes.flatMap((node) =>
    portsOf(workflow, node).outputs.map((port): Series =>
      node.kind === 'role' ? { role: node.role, port: port.name } : { node: node.id, port: port.name },
    ),
  );
  // A role that several nodes play is one series.
  return [...new Map(all.map((series) => [seriesId(series), series]))].map(([id, series]) => ({ id, series }));
}

export function seriesId(series: Series): string {
  return `${'role' in series ? series.role : series.node}.${series.port}`;
}

/** What a value of a kind starts as. */
export function valueOfKind(kind: ValueKind, workflow: Workflow): RewardValue {
  const of: Series = seriesOf(workflow)[0]?.series ?? { role: '', port: 'answer' };
  switch (kind) {
    case 'score':
      return { kind, metric: 'f1' };
    case 'own':
      return { kind, metric: 'f1' };
    case 'last':
    case 'change':
      return { kind, of, metric: 'f1', start: 0 };
    case 'cel':
      return { kind, expression: 'score.f1' };
    case 'javascript':
      return { kind, source: '({ score }) => score.f1', timeMs: 1_000, memoryMb: 64 };
    default:
      return kind satisfies never;
  }
}

function withRules(workflow: Workflow, rules: RewardRule[]): Workflow {
  return { ...workflow, rewards: { ...workflow.rewards, rules } };
}

export function addRule(workflow: Workflow, role: string | null): Workflow {
  const { rules } = workflow.rewards;
  const id = freeName(
    'reward',
    rules.map((rule) => rule.id),
  );
  const fresh: RewardRule = {
    id,
    level: role === null ? 'trajectory' : 'role',
    ...(role === null ? {} : { roles: [role] }),
    value: role === null ? { kind: 'score', metric: 'f1' } : { kind: 'own', metric: 'f1' },
    weight: 1,
    share: 'full',
  };
  return withRules(workflow, [...rules, fresh]);
}

export function removeRule(workflow: Workflow, place: number): Workflow {
  return withRules(
    workflow,
    workflow.rewards.rules.filter((_, at) => at !== place),
  );
}

/** The workflow with a rule changed; null where it would be none. */
export function changeRule(
  workflow: Workflow,
  place: number,
  change: Readonly<Record<string, unknown>>,
): Workflow | null {
  const checked = rewardRuleSchema.safeParse({ ...workflow.rewards.rules[place], ...change });
  if (!checked.success) return null;
  return withRules(
    workflow,
    workflow.rewards.rules.map((rule, at) => (at === place ? checked.data : rule)),
  );
}

export type Tried = {
  readonly rows: readonly { record: string; title: string; total: number; rewards: readonly AssignedReward[] }[];
  readonly problem: string | null;
};

/** The records of a trace that received a reward, each with its terms. */
export function received(trace: Trace): Tried['rows'] {
  return trace.records.flatMap((record) =>
    record.reward === undefined
      ? []
      : [{ record: record.id, title: record.title || record.node, total: record.reward, rewards: record.rewards }],
  );
}
