/**
 * Problems in what is written rather than drawn: prompts, output formats and expressions.
 */
import { compileCel, celNames } from '../run/cel.ts';
import { parsedPorts } from '../run/parsed-ports.ts';
import { isRendering, promptReferences } from '../run/prompt.ts';
import { complaint, error, warning, type Problem } from './problem.ts';
import type { Parser, Workflow, WorkflowNode } from './workflow.ts';

export function promptProblems(workflow: Workflow): Problem[] {
  const problems: Problem[] = [];
  for (const [id, role] of Object.entries(workflow.roles)) {
    const references = promptReferences(role);
    const played = workflow.nodes.filter((node) => node.kind === 'role' && node.role === id);
    if (played.length === 0 && !workflow.nodes.some((node) => node.kind === 'team' && node.player === id))
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
    problems.push(...parserProblems(id, role.parser));
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

function parserProblems(role: string, parser: Parser): Problem[] {
  const ports = parsedPorts(parser).map((port) => port.name);
  const twice = ports.find((name, i) => ports.indexOf(name) < i);
  if (twice !== undefined)
    return [
      error('parser', { role }, `The output format of ${role} writes a port twice: ${twice}; give each its own name`),
    ];
  if (parser.kind !== 'tags' || parser.min <= parser.max) return [];
  return [
    error(
      'parser',
      { role },
      `The output format of ${role} needs at least ${parser.min} tags and allows at most ${parser.max}; lower the least number`,
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

/** What is wrong with one expression that sees `known`. */
export function expression(source: string, known: readonly string[], at: Problem['at']): Problem[] {
  const message = complaint(() => compileCel(source));
  if (message !== null) return [error('expression', at, message)];
  const unknown = celNames(source).find((name) => !known.includes(name));
  return unknown === undefined
    ? []
    : [error('expression', at, `The expression reads a name it cannot see: ${unknown}; it sees ${known.join(', ')}`)];
}
