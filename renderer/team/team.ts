/** A team as the editor holds it: a workflow, perhaps not whole yet, who plays its roles, and what is pinned. */
import type { Pinned } from '../../workflows/run/pinned.ts';
import type { Cast } from '../../workflows/schema/cast.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';

export type Team = {
  readonly workflow: Workflow;
  readonly cast: Cast;
  /** Results that stand for nodes when a question is tried; they stay out of the workflow: what trains runs whole. */
  readonly pins?: Pinned;
};

/** An empty canvas. The reward every team begins with is the task's own score of the answer. */
export function emptyWorkflow(name: string, title: string): Workflow {
  return {
    troupe: 'workflow',
    version: 2,
    name,
    title,
    description: '',
    roles: {},
    nodes: [],
    edges: [],
    rewards: {
      troupe: 'rewards',
      version: 2,
      rules: [
        {
          id: 'outcome',
          level: 'trajectory',
          value: { kind: 'score', metric: 'f1' },
          weight: 1,
          share: 'full',
        },
      ],
      formatWeight: 1,
    },
    casts: {},
    layout: {},
  };
}
