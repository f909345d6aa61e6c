/**
 * Problems in what is written rather than drawn: prompts, output formats, expressions and rewards.
 */
import { compileCel, celNames } from '../run/cel.ts';
import { isRendering, promptReferences } from '../run/prompt.ts';
import { metrics } from '../rewards/answer.ts';
import { rewardNames } from '../rewards/assign.ts';
import { complaint, error, warning, type Problem } from './problem.ts';
import type { Workflow, WorkflowNode } from './workflow.ts';

export function promptProblems(workflow: Workflow): Problem[] {
  const problems: Problem[] = [];
  for (const [id, role] of Object.entries(workflow.roles)) {
    const references = promptReferences(role);
    const played = workflow.nodes.filter((node) => node.kind === 'role' && node.role === id);
    if (played.length === 0)
      problems.push(
        warning('role-unplayed', { role: id }, `No node plays the role ${id}; add a role node or remove the role`),
      );
    if (references.length === 0)
      problems.push(
        warning(
          'role-without-variable',
          { role: id },
          `The prompt of ${id} reads no value, so every question gets the same; write {{port}} where a value belongs`,
        ),
      );
    for (const { rendering } of references) {
      if (rendering !== undefined && !isRendering(rendering))
        problems.push(
          error(
            'prompt-variable',
            { role: id },
            `The prompt of ${id} shows a value in an unknown way: ${rendering}; use numbered, lines, joined or json`,
          ),
        );
    }
    for (const node of played)
      problems.push(
        ...nodePrompt(
          id,
          references.map((reference) => reference.port),
          node as Extract<WorkflowNode, { kind: 'role' }>,
        ),
      );
    if (role.parser.kind === 'tags' && role.parser.min > role.parser.max)
      problems.push(
        error(
          'parser',
          { role: id },
          `The output format of ${id} needs at least ${role.parser.min} tags and allows at most ${role.parser.max}; lower the least number`,
        ),
      );
  }
  return problems;
}

function nodePrompt(role: string, read: readonly string[], node: Extract<WorkflowNode, { kind: 'role' }>): Problem[] {
  const names = new Set(node.inputs.map((port) => port.name));
  const missing = [...new Set(read)].filter((name) => !names.has(name));
  const unused = node.inputs.filter((port) => !read.includes(port.name));
  return [
    ...missing.map((name) =>
      error(
        'prompt-variable',
        { node: node.id, role },
        `The prompt of ${role} reads {{${name}}}, which node ${node.id} has no input port for; add the port or change the prompt`,
      ),
    ),
    ...unused.map((port) =>
      warning(
        'unused',
        { node: node.id, role },
        `The prompt of ${role} never reads ${port.name}; write {{${port.name}}} in it or remove the port`,
      ),
    ),
  ];
}

export function expressionProblems(workflow: Workflow): Problem[] {
  return workflow.nodes.flatMap((node) => {
    switch (node.kind) {
      case 'router':
        return node.branches.flatMap((branch) =>
          expression(
            branch.when,
            node.inputs.map((port) => port.name),
            { node: node.id },
          ),
        );
      case 'compute':
        return expression(
          node.expression,
          node.inputs.map((port) => port.name),
          { node: node.id },
        );
      case 'loop':
        return expression(node.until, ['turn', 'value', ...node.inputs.map((port) => port.name)], { node: node.id });
      default:
        return [];
    }
  });
}

function expression(source: string, known: readonly string[], at: Problem['at']): Problem[] {
  const message = complaint(() => compileCel(source));
  if (message !== null) return [error('expression', at, message)];
  const unknown = celNames(source).find((name) => !known.includes(name));
  return unknown === undefined
    ? []
    : [error('expression', at, `The expression reads a name it cannot see: ${unknown}; it sees ${known.join(', ')}`)];
}

export function rewardProblems(workflow: Workflow): Problem[] {
  const roles = new Set(workflow.nodes.flatMap((node) => (node.kind === 'role' ? [node.role] : [])));
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
    if (rule.value.kind === 'score') {
      const { metric } = rule.value;
      if (!(metrics as readonly string[]).includes(metric))
        found.push(
          error(
            'reward-metric',
            at,
            `The reward ${rule.id} reads a score that tasks do not give: ${metric}; use ${metrics.join(' or ')}`,
          ),
        );
    } else found.push(...expression(rule.value.expression, rewardNames, at));
    return found;
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
