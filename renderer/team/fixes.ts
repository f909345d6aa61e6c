/** What can be done about a problem at the press of a button: only where there is one plain remedy. */
import type { Problem } from '../../workflows/schema/problem.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { references } from '../../workflows/run/prompt.ts';
import { words } from '../words.ts';
import { disconnect, nodeOf, removeNodes, setRole, withoutRoles } from './edits.ts';
import { addPort } from './port-edits.ts';
import { addChoice } from './new-node.ts';

export type Fix = { readonly label: string; readonly apply: () => Workflow };

export function fixOf(workflow: Workflow, problem: Problem): Fix | null {
  const text = words.team.fixes;
  const { at } = problem;
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
    case 'unused':
      return unreadPort(workflow, problem);
    case 'reward-unreceived':
      return unreceived(workflow, problem);
    default:
      return null;
  }
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
