/**
 * What each kind of node makes of its inputs when no model is asked: the question's fields, a tool's result, the branch a
 * router takes, a computed value, the answer. A failure that concerns one question is `Dropped`; knows no order and no edges.
 */
import { UserError } from '../../engine/errors.ts';
import { emptyValue, isOfType, type Json, type Values } from '../schema/value.ts';
import type { Port, WorkflowNode } from '../schema/workflow.ts';
import type { Query } from '../tasks/task.ts';
import { ToolError, type ToolContext } from '../tools/index.ts';
import { eachLists } from './calls.ts';
import { evaluateCel, evaluateCondition } from './cel.ts';
import { Dropped, guarded } from './dropped.ts';
import type { GraphNode } from './graph.ts';
import { renderValue } from './prompt.ts';

export type Made = {
  outputs: Values;
  /** Why a tool gave nothing. */
  error?: string;
  /** What an output node received. */
  answer?: string;
};

export type ExecuteContext = { query: Query; corpus: ToolContext['corpus'] };

type NodeOf<Kind extends WorkflowNode['kind']> = Extract<WorkflowNode, { kind: Kind }>;

/** Runs one node that is neither a role, a loop, a team nor of memory. Throws Dropped for what concerns this question alone. */
export async function execute(node: GraphNode, values: Values, context: ExecuteContext): Promise<Made> {
  const each = node.node;
  switch (each.kind) {
    case 'input':
      return { outputs: inputValues(each, context.query) };
    case 'tool':
      return runTool(node, values, context);
    case 'router':
      return { outputs: route(each, values) };
    case 'compute':
      return { outputs: { [each.output.name]: computeValue(each, values) } };
    case 'output':
      return { outputs: {}, answer: renderValue(values[answerPort(each, values)], 'joined') };
    case 'role':
    case 'loop':
    case 'memory':
    case 'team':
    case 'workflow':
      throw new Error(`A ${each.kind} node is not executed here: ${each.id}`);
    default:
      return each satisfies never;
  }
}

function inputValues(node: NodeOf<'input'>, query: Query): Values {
  const fields: Record<string, Json | undefined> = {
    ...query.values,
    question: query.question,
    id: query.id,
    paragraphs: query.paragraphs,
  };
  const values: Values = {};
  for (const port of node.outputs) {
    const value = Object.hasOwn(fields, port.name) ? fields[port.name] : undefined;
    if (value === undefined && port.optional) continue;
    if (value === undefined || !isOfType(value, port.type))
      throw new Dropped(`${node.id}: the question has no ${port.type} called ${port.name}`);
    values[port.name] = value;
  }
  return values;
}

function route(node: NodeOf<'router'>, values: Values): Values {
  const scope = withNulls(node.inputs, values);
  const taken =
    node.branches.find((branch) => guarded(node.id, () => evaluateCondition(branch.when, scope)))?.name ??
    node.otherwise;
  return { [taken]: values[node.inputs[0].name] ?? null };
}

function computeValue(node: NodeOf<'compute'>, values: Values): Json {
  const value = guarded(node.id, () => evaluateCel(node.expression, withNulls(node.inputs, values)));
  if (isOfType(value, node.output.type)) return value;
  throw new Dropped(
    `${node.id}: the expression gives ${JSON.stringify(value).slice(0, 60)}, which is no ${node.output.type}`,
  );
}

function answerPort(node: NodeOf<'output'>, values: Values): string {
  return (
    node.inputs.find(({ name }) => name === 'answer' && name in values) ??
    node.inputs.find(({ name }) => name in values)!
  ).name;
}

async function runTool(node: GraphNode, values: Values, context: ExecuteContext): Promise<Made> {
  const { each, timeoutMs } = node.node as NodeOf<'tool'>;
  const deadline = performance.now() + timeoutMs;
  return each === undefined
    ? runOnce(node, values, context, deadline)
    : runForEach(node, each, values, context, deadline);
}

/** One after the other; each output is the list of what they gave, and the first error stands for all. */
async function runForEach(
  node: GraphNode,
  each: readonly string[],
  values: Values,
  context: ExecuteContext,
  deadline: number,
): Promise<Made> {
  const carried = new Map(Object.entries(values).map(([name, value]) => [name, { value, records: [] }]));
  const lists = eachLists(node.node.id, each, carried);
  const outputs: Record<string, Json[]> = Object.fromEntries(node.outputs.map((port) => [port.name, []]));
  const errors: string[] = [];
  for (let i = 0; i < Math.min(...lists.map(({ list }) => list.length)); i += 1) {
    const own = { ...values, ...Object.fromEntries(lists.map(({ name, list }) => [name, list[i]])) };
    const made = await runOnce(node, own, context, deadline);
    for (const [port, value] of Object.entries(made.outputs)) outputs[port].push(value);
    if (made.error !== undefined) errors.push(`item ${i + 1}: ${made.error}`);
  }
  return errors.length === 0 ? { outputs } : { outputs, error: errors[0] };
}

async function runOnce(
  node: GraphNode,
  values: Values,
  { corpus, query }: ExecuteContext,
  deadline: number,
): Promise<Made> {
  const tool = node.tool!;
  const stop = new AbortController();
  try {
    const result = tool.run(values, { corpus, paragraphs: query.paragraphs ?? [], signal: stop.signal });
    return { outputs: result instanceof Promise ? await within(result, deadline, node.node) : result };
  } catch (error) {
    if (error instanceof Dropped) stop.abort();
    if (!(error instanceof UserError)) throw error;
    const empty = Object.fromEntries(tool.ports.outputs.map((port) => [port.name, emptyValue(port.type)]));
    return { outputs: { ...empty, ...(error instanceof ToolError ? error.outputs : {}) }, error: error.message };
  }
}

/** CEL sees every declared input; one without a value is null. */
function withNulls(ports: readonly Port[], values: Values): Values {
  return { ...Object.fromEntries(ports.map((port) => [port.name, null])), ...values };
}

/** Items taken one after the other share their node's time. */
async function within<T>(work: Promise<T>, deadline: number, { id, timeoutMs }: WorkflowNode): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Dropped(`${id}: timed out after ${timeoutMs / 1000} s`)),
      Math.max(0, deadline - performance.now()),
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
