/** Which of the bundled tasks a team is for, where nobody says: one that brings tests, for a team that runs them. */
import { runsTests } from '../rewards/passed.ts';
import type { Workflow } from '../schema/workflow.ts';

export function ownTask({ nodes }: Pick<Workflow, 'nodes'>): 'village-code' | 'village-qa' {
  return nodes.some(runsTests) ? 'village-code' : 'village-qa';
}
