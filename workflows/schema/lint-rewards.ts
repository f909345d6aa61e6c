/**
 * Problems in a workflow's rewards: rules nobody receives, measures that do not exist, series that nothing writes.
 */
import { metrics } from '../rewards/answer.ts';
import { rewardNames } from '../rewards/scope.ts';
import { portsOf } from '../run/graph.ts';
import { expression } from './lint-texts.ts';
import { complaint, error, warning, type Problem } from './problem.ts';
import type { RewardRule, Series } from './reward.ts';
import { fits } from './value.ts';
import type { Port, Workflow, WorkflowNode } from './workflow.ts';

/** `workflow` must have its sub-workflows in place. */
export function rewardProblems(workflow: Workflow): Problem[] {
  const roles = new Set(
    workflow.nodes.flatMap((node) => (node.kind === 'role' ? [node.role] : node.kind === 'team' ? [node.player] : [])),
  );
  const seen = new Set<string>();
  const problems = workflow.rewards.rules.flatMap((rule): Problem[] => {
    const at = { rule: rule.id };
    const found: Problem[] = seen.has(rule.id)
      ? [error('reward-duplicate', at, `Two rewards have the same id: ${rule.id}; rename one`)]
      : [];
    seen.add(rule.id);
    if (rule.roles === undefined ? roles.size === 0 : !rule.roles.some((role) => roles.has(role))) {
      found.push(
        warning(
          'reward-unreceived',
          at,
          `No record receives the reward ${rule.id}; name a role that a node plays: ${[...roles].join(', ') || 'there is none'}`,
        ),
      );
    }
    return [...found, ...levelProblems(rule), ...valueProblems(workflow, rule)];
  });
  const rewarded = (role: string): boolean =>
    workflow.rewards.rules.some((rule) => rule.roles === undefined || rule.roles.includes(role));
  return [
    ...problems,
    ...[...roles]
      .filter((role) => !rewarded(role))
      .map((role) =>
        warning('reward-unreceived', { role }, `The role ${role} receives no reward but its format; add a rule for it`),
      ),
  ];
}

function levelProblems({ id, level, value }: RewardRule): Problem[] {
  const single = value.kind === 'own' || value.kind === 'change' || value.kind === 'cure';
  if (level !== 'trajectory' || !single) return [];
  return [
    error(
      'reward-level',
      { rule: id },
      `The reward ${id} is of single records, not of a whole trajectory: ${value.kind}; give it level role or turn`,
    ),
  ];
}

function valueProblems(workflow: Workflow, rule: RewardRule): Problem[] {
  const { id, value } = rule;
  switch (value.kind) {
    case 'score':
      return metricProblems(id, value.metric, metrics);
    case 'cel':
      return expression(value.expression, rewardNames, { rule: id });
    case 'javascript':
      return []; // what is no function shows when it runs, in the sandbox
    case 'own':
      return [...metricProblems(id, value.metric, [...metrics, 'value']), ...ownProblems(workflow, rule, value.port)];
    case 'last':
    case 'change':
      return [
        ...metricProblems(id, value.metric, [...metrics, 'value']),
        ...seriesProblems(workflow, id, value.of, value.metric === 'value' ? ['number', 'flag', 'json'] : ['text']),
      ];
    case 'cure':
      return [value.matrix, value.truth].flatMap((series) => seriesProblems(workflow, id, series, ['json']));
    default:
      return value satisfies never;
  }
}

function metricProblems(rule: string, metric: string, known: readonly string[]): Problem[] {
  if (known.includes(metric)) return [];
  const message = `The reward ${rule} reads a score that tasks do not give: ${metric}; use ${known.join(' or ')}`;
  return [error('reward-metric', { rule }, message)];
}

function ownProblems(workflow: Workflow, rule: RewardRule, port: string | undefined): Problem[] {
  const receivers = workflow.nodes.filter(
    (node) => node.kind === 'role' && (rule.roles === undefined || rule.roles.includes(node.role)),
  );
  return receivers.flatMap((node) => {
    const { outputs } = nodePorts(workflow, node);
    const fitting = port === undefined ? outputs.length === 1 : outputs.some(({ name }) => name === port);
    if (fitting || outputs.length === 0) return [];
    const named = outputs.map(({ name }) => name).join(', ');
    const message = `The reward ${rule.id} does not say which output of ${node.id} it is of (${port ?? 'none named'}); name one of ${named}`;
    return [error('reward-series', { rule: rule.id }, message)];
  });
}

function seriesProblems(workflow: Workflow, rule: string, series: Series, types: readonly Port['type'][]): Problem[] {
  const writers = workflow.nodes.filter((node) =>
    'role' in series ? node.kind === 'role' && node.role === series.role : node.id === series.node,
  );
  const shown = `${'role' in series ? series.role : series.node}.${series.port}`;
  const port = writers.flatMap((node) => nodePorts(workflow, node).outputs).find(({ name }) => name === series.port);
  if (port === undefined)
    return [
      error(
        'reward-series',
        { rule },
        `Nothing writes what the reward ${rule} reads: ${shown}; name a port that exists`,
      ),
    ];
  // A role that is asked often writes lists, but each of its records one value.
  const often = writers.some((node) => node.kind === 'role') && (port.type === 'list' || port.type === 'json');
  if (often || types.some((type) => fits(port.type, type))) return [];
  return [
    error(
      'reward-series',
      { rule },
      `The reward ${rule} cannot measure a ${port.type}: ${shown}; name a port of type ${types.join(', ')}`,
    ),
  ];
}

function nodePorts(workflow: Workflow, node: WorkflowNode): { outputs: Port[] } {
  return complaint(() => portsOf(workflow, node)) === null ? portsOf(workflow, node) : { outputs: [] };
}
