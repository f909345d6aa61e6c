/** What a person has laid out or edited for a workflow and not saved: remembered on this machine until saved or discarded. */
import { castSchema, type Cast } from '../../workflows/schema/cast.ts';
import { workflowSchema, type Workflow } from '../../workflows/schema/workflow.ts';
import { recall, remember } from '../app/remember.ts';

function isCast(value: unknown): value is Cast {
  return castSchema.safeParse(value).success;
}
function isWorkflow(value: unknown): value is Workflow {
  return workflowSchema.safeParse(value).success;
}

export function boardOf(workflow: string): Cast | null {
  return recall(`cast.${workflow}`, isCast);
}
export function rememberBoard(workflow: string, cast: Cast | null): void {
  remember(`cast.${workflow}`, cast);
}

/** Unsaved edits of a workflow. */
export function draftOf(workflow: string): Workflow | null {
  return recall(`draft.${workflow}`, isWorkflow);
}
export function rememberDraft(workflow: string, draft: Workflow | null): void {
  remember(`draft.${workflow}`, draft);
}
