/** The hosts that a team's tools read, those of its sub-workflows too: what a person allows before it runs, or does not. */
import type { Workflow } from '../../workflows/schema/workflow.ts';

export function webHosts({ nodes, workflows = {} }: Pick<Workflow, 'nodes' | 'workflows'>): string[] {
  const hosts = new Set<string>();
  for (const node of [nodes, ...Object.values(workflows).map((inner) => inner.nodes)].flat()) {
    if (node.kind !== 'tool' || node.tool !== 'web-fetch') continue;
    const named = node.settings['hosts'];
    if (Array.isArray(named)) for (const host of named) if (typeof host === 'string') hosts.add(host);
  }
  return [...hosts].sort();
}
