/**
 * A preset adapts a template to a task or a family of models: other prompts, another output format, more passages. It
 * changes texts and numbers only; the graph stays the template's.
 */
import { UserError } from '../../engine/errors.ts';
import type { Metric } from '../rewards/answer.ts';
import type { Json } from '../schema/value.ts';
import { workflowSchema, type Workflow, type WorkflowInput } from '../schema/workflow.ts';

type RoleInput = WorkflowInput['roles'][string];
type RuleInput = WorkflowInput['rewards']['rules'][number];

export type RolePreset = {
  /** Replaces the whole prompt: system, user and worked examples. */
  prompt?: RoleInput['prompt'];
  /** Replaces the parser; its port must be the template's. */
  parser?: RoleInput['parser'];
  /** Merged over the role's sampling. */
  sampling?: RoleInput['sampling'];
};

export type Preset = {
  roles?: Record<string, RolePreset>;
  /** Tool settings by node id, merged over the template's. */
  tools?: Record<string, Record<string, Json>>;
  /** Weight of the format term of the rewards. */
  formatWeight?: number;
  /** What the task is scored by: outcome rules that reward F1 reward this instead. */
  metric?: Metric;
};

/** The template with the preset's texts and numbers put in, checked. Throws a UserError where the preset names what the template lacks. */
export function applyPreset(template: WorkflowInput, preset: Preset = {}): Workflow {
  for (const role of Object.keys(preset.roles ?? {})) {
    if (template.roles[role] === undefined)
      throw new UserError(
        `The preset names a role that ${template.name} does not have: ${role}; name one of ${Object.keys(template.roles).join(', ')}`,
      );
  }
  for (const node of Object.keys(preset.tools ?? {})) {
    if (!template.nodes.some((each) => each.id === node && each.kind === 'tool'))
      throw new UserError(
        `The preset names a tool node that ${template.name} does not have: ${node}; name one of its tool nodes`,
      );
  }
  const roles = Object.fromEntries(
    Object.entries(template.roles).map(([id, role]) => [id, withRole(role, preset.roles?.[id])]),
  );
  const nodes = template.nodes.map((node) =>
    node.kind === 'tool' ? { ...node, settings: { ...node.settings, ...preset.tools?.[node.id] } } : node,
  );
  const rewards = {
    ...template.rewards,
    rules: template.rewards.rules.map((rule) => withMetric(rule, preset.metric ?? 'f1')),
    ...(preset.formatWeight === undefined ? {} : { formatWeight: preset.formatWeight }),
  };
  return workflowSchema.parse({ ...template, roles, nodes, rewards });
}

function withMetric(rule: RuleInput, metric: Metric): RuleInput {
  if (rule.value.kind !== 'score' || rule.value.metric !== 'f1') return rule;
  return { ...rule, value: { kind: 'score', metric } };
}

function withRole(role: RoleInput, preset: RolePreset | undefined): RoleInput {
  if (preset === undefined) return role;
  return {
    ...role,
    prompt: preset.prompt ?? role.prompt,
    parser: preset.parser ?? role.parser,
    sampling: { ...role.sampling, ...preset.sampling },
  };
}
