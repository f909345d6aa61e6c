/**
 * The workflows that ship with Troupe. A person starts from one; a task may adapt it through a preset.
 */
import { UserError } from '../../engine/errors.ts';
import type { Workflow, WorkflowInput } from '../schema/workflow.ts';
import { applyPreset, type Preset } from './preset.ts';
import { qdAnswer } from './qd-answer.ts';
import { singleAgent } from './single-agent.ts';

const templates: readonly WorkflowInput[] = [qdAnswer, singleAgent];

export const templateNames: readonly string[] = templates.map((template) => template.name);

/** A fresh workflow made from a template, with a task's preset where it has one. */
export function templateWorkflow(name: string, preset?: Preset): Workflow {
  const template = templates.find((each) => each.name === name);
  if (template === undefined)
    throw new UserError(`There is no template of this name: ${name}; use one of ${templateNames.join(', ')}`);
  return applyPreset(template, preset);
}
