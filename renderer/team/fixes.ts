/** What can be done about a problem at the press of a button: only where there is one plain remedy. */
import type { Problem, ProblemPlace } from '../../workflows/schema/problem.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { references } from '../../workflows/run/prompt.ts';
import { words } from '../words.ts';
import type { Face } from './drawing.svelte.ts';
import { disconnect, nodeOf, removeNodes, rolesOf, setRole, withoutRoles } from './edits.ts';
import { insideOf, withInside } from './groups.ts';
import { pathsOf } from './paths.ts';
import { addPort } from './port-edits.ts';
import { addChoice } from './new-node.ts';

export type Fix = { readonly label: string; readonly apply: () => Workflow };

/** The node to look at, from the outside in: the problem's own, or the first that plays its role. */
export function placeOf(workflow: Workflow, at: ProblemPlace): string | undefined {
  if (at.within && at.node !== undefined) {
    const part = insideOf(workflow, at.within.part);
    const inner = part && placeOf(part, at.within.at);
    return inner === null || inner === undefined ? at.node : `${at.node}.${inner}`;
  }
  if (at.node !== undefined) return at.node;
  if (at.edge !== undefined) return workflow.edges[at.edge]?.to.node;
  const role = at.role ?? workflow.rewards.rules.find((rule) => rule.id === at.rule)?.roles?.[0];
  return role === undefined ? undefined : pathsOf(workflow).find(([, node]) => rolesOf(node).includes(role))?.[0];
}

/** The role's settings that a problem is about. */
export function faceOf({ code, at }: Problem): Face | null {
  if (at.rule !== undefined || code === 'reward-unreceived') return 'reward';
  if (code === 'parser') return 'output';
  if (code === 'untrainable') return 'sampling';
  return code === 'prompt-variable' || code === 'role-without-variable' ? 'prompt' : null;
}

export function fixOf(workflow: Workflow, problem: Problem): Fix | null {
  const text = words.team.fixes;
  const { at } = problem;
  if (at.within) return fixWithin(workflow, problem, at.within);
  switch (problem.code) {
    case 'no-input':
    case 'no-output': {
      const kind = problem.code === 'no-input' ? 'input' : 'output';
      return { label: text.add, apply: () => addChoice(workflow, kind, null)?.workflow ?? workflow };
    }
    case 'type-mismatch': {
      const edge = at.edge === undefined ? undefined : workflow.edges[at.edge];
      return edge ? { label: text.removeWire, apply: () => disconnect(workflow, edge) } : null;
    }
    case 'unknown-port': {
      const edge = at.edge === undefined ? undefined : workflow.edges[at.edge];
      return edge ? { label: text.removeWire, apply: () => disconnect(workflow, edge) } : null;
    }
    case 'unreachable': {
      const id = at.node;
      return id ? { label: text.remove, apply: () => removeNodes(workflow, [id]) } : null;
    }
    case 'role-unplayed': {
      const role = at.role;
      return role ? { label: text.remove, apply: () => withoutRoles(workflow, [role]) } : null;
    }
    case 'prompt-variable':
      return missingPort(workflow, problem);
    case 'untrainable':
      return ungreedy(workflow, problem);
    case 'unused':
      return unreadPort(workflow, problem);
    case 'reward-unreceived':
      return unreceived(workflow, problem);
    default:
      return null;
  }
}

/** The remedy within the sub-workflow where the problem is. */
function fixWithin(workflow: Workflow, problem: Problem, { part, at }: { part: string; at: ProblemPlace }): Fix | null {
  const inside = insideOf(workflow, part);
  const fix = inside && fixOf(inside, { ...problem, at });
  return fix && { label: fix.label, apply: () => withInside(workflow, part, fix.apply()) };
}

/** A prompt reads what no port brings: add the ports. */
function missingPort(workflow: Workflow, { at }: Problem): Fix | null {
  const node = at.node === undefined ? undefined : nodeOf(workflow, at.node);
  const role = at.role === undefined ? undefined : workflow.roles[at.role];
  if (node?.kind !== 'role' || !role) return null;
  const has = new Set(node.inputs.map((port) => port.name));
  const read = [role.prompt.system, role.prompt.user].flatMap(references).map(({ port }) => port);
  const missing = [...new Set(read)].filter((name) => !has.has(name) && /^[a-z][a-z0-9_-]{0,63}$/.test(name));
  if (missing.length === 0) return null;
  return {
    label: words.team.fixes.addPort(missing[0]),
    apply: () => addPort(workflow, node.id, { name: missing[0], type: 'text' })?.workflow ?? workflow,
  };
}

/** A port that the prompt never reads: put it in at the end. */
function unreadPort(workflow: Workflow, { at }: Problem): Fix | null {
  const node = at.node === undefined ? undefined : nodeOf(workflow, at.node);
  const role = at.role === undefined ? undefined : workflow.roles[at.role];
  if (node?.kind !== 'role' || !role || at.role === undefined) return null;
  const read = [role.prompt.system, role.prompt.user].flatMap(references).map(({ port }) => port);
  const unread = node.inputs.find((port) => !read.includes(port.name));
  if (!unread) return null;
  const id = at.role;
  return {
    label: words.team.fixes.read(unread.name),
    apply: () =>
      setRole(workflow, id, {
        ...role,
        prompt: { ...role.prompt, user: `${role.prompt.user}\n{{${unread.name}}}`.trimStart() },
      }),
  };
}

/** A rule whose roles nobody plays goes; a role without a reward gets the task's score. */
function unreceived(workflow: Workflow, { at }: Problem): Fix | null {
  const { rewards } = workflow;
  if (at.rule !== undefined && rewards.rules.find((rule) => rule.id === at.rule)?.roles !== undefined) {
    const rules = rewards.rules.filter((rule) => rule.id !== at.rule);
    return { label: words.team.fixes.remove, apply: () => ({ ...workflow, rewards: { ...rewards, rules } }) };
  }
  return null;
}

/** A role that always says the same samples from now on. */
function ungreedy(workflow: Workflow, { at }: Problem): Fix | null {
  const role = at.role === undefined ? undefined : workflow.roles[at.role];
  if (!role || at.role === undefined) return null;
  const id = at.role;
  const { temperature, topK } = role.sampling;
  const sampling = { ...role.sampling, temperature: temperature || 1, topK: topK === 1 ? 0 : topK };
  return { label: words.team.fixes.sample, apply: () => setRole(workflow, id, { ...role, sampling }) };
}
