/**
 * One question's way through a workflow. `advance` fires every node that is ready until only calls of a model are left in
 * `pending`; whoever runs the walk answers those with `deliver` and calls `advance` again. A path a router did not take is
 * dead: nodes that need a value from it are skipped, so a join behind a router fires. Knows no batches and no policies' insides.
 */
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import { scoreAnswer, type Metric } from '../rewards/answer.ts';
import { passedTests } from '../rewards/passed.ts';
import type { Cast } from '../schema/cast.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Json, Values } from '../schema/value.ts';
import type { Port, Role, WorkflowNode } from '../schema/workflow.ts';
import type { Query } from '../tasks/task.ts';
import type { ToolContext } from '../tools/index.ts';
import { evaluateCondition } from './cel.ts';
import { Dropped, execute, guarded } from './execute.ts';
import type { Graph, GraphNode, Step } from './graph.ts';
import { parseText } from './parse.ts';
import { renderPrompt } from './prompt.ts';
import { learnsFrom, sampleSeed, type Sample } from './samples.ts';
import { hashSeed } from './seed.ts';

/** A call of a model that waits for its batch. */
export type Pending = {
  policy: string;
  request: GenerateRequest;
  timeoutMs: number;
  record: TraceRecord;
  node: GraphNode;
  role: Role;
};

export type WalkOptions = {
  graph: Graph;
  cast: Cast;
  query: Query;
  corpus: ToolContext['corpus'];
  /** What the task is scored by; F1 and EM are always counted. */
  metric?: Metric;
  traceId: string;
  phase: Trace['phase'];
  step: number;
  seed: number;
  greedy: boolean;
  /** Which of several samples of the question this is; the only one when absent. */
  sample?: Sample;
  onRecord?: (trace: Trace, record: TraceRecord) => void;
};

type NodeOf<Kind extends WorkflowNode['kind']> = Extract<WorkflowNode, { kind: Kind }>;
type Carried = { value: Json; record: string };
type Gathered = { values: Values; parents: string[] };

/** Most node executions of one question: nested loops multiply. */
const maxRecords = 5_000;

export class Walk {
  readonly trace: Trace;
  pending: Pending[] = [];
  /** Calls of models so far. */
  private calls = 0;
  private readonly options: WalkOptions;
  /** What each edge carries; an edge without a value whose source is settled is dead. */
  private readonly carried = new Map<number, Carried>();
  private readonly settled = new Set<string>();
  private readonly waiting = new Set<string>();
  private readonly visits = new Map<string, number>();
  /** How often the body of each running loop was taken. */
  private readonly turns = new Map<string, number>();
  private finished = false;

  constructor(options: WalkOptions) {
    this.options = options;
    const { query } = options;
    this.trace = {
      troupe: 'trace',
      version: 1,
      id: options.traceId,
      workflow: options.graph.workflow.name,
      phase: options.phase,
      step: options.step,
      query: { id: query.id, question: query.question, answers: [...query.answers] },
      status: 'done',
      score: {},
      records: [],
    };
  }

  get live(): boolean {
    return !this.finished;
  }

  /** Fires what is ready. Afterwards the walk is finished or `pending` is not empty. */
  async advance(): Promise<void> {
    if (this.finished) return;
    try {
      if (await this.level(this.options.graph.steps)) this.finish();
    } catch (error) {
      if (!(error instanceof Dropped)) throw error;
      this.drop(error.message);
    }
  }

  /** Takes the answer to one pending call. */
  deliver(pending: Pending, generation: Generation): void {
    if (this.finished) return;
    const { record, role, node } = pending;
    this.pending = this.pending.filter((each) => each !== pending);
    record.text = generation.text;
    record.finish = generation.finish;
    record.length = generation.ids.length;
    record.tokens = {
      promptIds: [...generation.promptIds],
      ids: [...generation.ids],
      pieces: [...generation.pieces],
      logprobs: [...generation.logprobs],
      entropy: [...generation.entropy],
    };
    const parsed = parseText(role.parser, generation.text, generation.finish, role.sampling.stop);
    record.outputs = parsed.values;
    record.legal = parsed.legal;
    if (parsed.problem !== undefined) record.problem = parsed.problem;
    this.waiting.delete(node.node.id);
    this.settled.add(node.node.id);
    this.emit(node, record);
    if (generation.finish === 'context' && generation.ids.length === 0)
      this.drop(`${node.node.id}: the prompt is longer than the model's context`);
    if (generation.finish === 'cancelled') this.drop(`${node.node.id}: the call was cancelled`);
  }

  /** Ends the walk without an answer. */
  drop(reason: string): void {
    if (this.finished) return;
    this.finished = true;
    this.pending = [];
    this.trace.status = 'dropped';
    this.trace.reason = reason;
  }

  private finish(): void {
    if (this.trace.answer === undefined) return this.drop('no path reached an output');
    this.finished = true;
    const { metric, graph } = this.options;
    if (this.trace.query.answers.length > 0)
      this.trace.score = {
        ...scoreAnswer(this.trace.answer, this.trace.query.answers, metric),
        ...(metric === 'passed' ? passedTests(graph.workflow, this.trace.records) : {}),
      };
  }

  /** Runs the steps of one level as far as they go; true when all are settled. */
  private async level(steps: readonly Step[]): Promise<boolean> {
    let all = true;
    for (const step of steps) {
      if (this.finished) return false;
      if (this.settled.has(step.id)) continue;
      const ready = step.after.every((id) => this.settled.has(id));
      if (ready && (step.kind === 'node' ? await this.runNode(step.id) : await this.runCycle(step)))
        this.settled.add(step.id);
      else all = false;
    }
    return all;
  }

  private async runNode(id: string): Promise<boolean> {
    if (this.waiting.has(id)) return false;
    const node = this.options.graph.nodes.get(id)!;
    const gathered = this.gather(node, node.inputs);
    return gathered === null || (await this.fire(node, gathered));
  }

  private async runCycle(step: Extract<Step, { kind: 'cycle' }>): Promise<boolean> {
    const header = this.options.graph.nodes.get(step.id)!;
    if (!this.turns.has(step.id)) {
      this.clear((from) => step.members.has(from));
      const entered = this.read(header, 'in');
      if (entered === null) return true;
      this.turns.set(step.id, 0);
      if (this.visitLoop(step, header, entered, 'in')) return true;
    }
    while (await this.level(step.body)) {
      const again = this.read(header, 'again');
      if (again === null) {
        this.turns.delete(step.id);
        return true;
      }
      if (this.visitLoop(step, header, again, 'again')) return true;
    }
    return false;
  }

  /** One visit of a loop node; true when the loop is over. */
  private visitLoop(
    step: Extract<Step, { kind: 'cycle' }>,
    header: GraphNode,
    entered: { value: Json; parents: string[] },
    port: 'in' | 'again',
  ): boolean {
    const node = header.node as NodeOf<'loop'>;
    const turn = this.turns.get(node.id)!;
    const extra: Gathered = { values: {}, parents: [] };
    for (const { name } of node.inputs) {
      const read = this.read(header, name);
      extra.values[name] = read?.value ?? null;
      extra.parents.push(...(read?.parents ?? []));
    }
    const over =
      turn >= node.limit ||
      guarded(node.id, () => evaluateCondition(node.until, { ...extra.values, turn, value: entered.value }));
    const record = this.newRecord(header, {
      values: { [port]: entered.value, ...extra.values },
      parents: [...entered.parents, ...extra.parents],
    });
    record.outputs = { [over ? 'done' : 'body']: entered.value };
    if (over) this.turns.delete(node.id);
    else {
      this.turns.set(node.id, turn + 1);
      for (const id of step.members) this.settled.delete(id);
      this.clear((from, to) => step.members.has(from) && step.members.has(to));
    }
    this.emit(header, record);
    return over;
  }

  private clear(which: (from: string, to: string) => boolean): void {
    for (const index of [...this.carried.keys()]) {
      const { from, to } = this.options.graph.edges[index];
      if (which(from.node, to.node)) this.carried.delete(index);
    }
  }

  /** The values of a node's ports, or null when a port it needs is dead. */
  private gather(node: GraphNode, ports: readonly Port[]): Gathered | null {
    const gathered: Gathered = { values: {}, parents: [] };
    let connected = 0;
    for (const port of ports) {
      if (node.incoming[port.name] === undefined) continue;
      connected += 1;
      const read = this.read(node, port.name);
      if (read === null && !port.optional) return null;
      if (read === null) continue;
      gathered.values[port.name] = read.value;
      gathered.parents.push(...read.parents);
    }
    return connected > 0 && gathered.parents.length === 0 ? null : gathered;
  }

  /** What a port holds: of several edges with a value, lists are joined and otherwise the first counts. */
  private read(node: GraphNode, portName: string): { value: Json; parents: string[] } | null {
    const port = node.inputs.find((each) => each.name === portName)!;
    const found = (node.incoming[portName] ?? [])
      .map((edge) => this.carried.get(edge))
      .filter((each) => each !== undefined);
    if (found.length === 0) return null;
    if (port.type === 'list' || port.type === 'passages') {
      return { value: found.flatMap((each) => each.value), parents: found.map((each) => each.record) };
    }
    return { value: found[0].value, parents: [found[0].record] };
  }

  /** Executes one node; false when it now waits for a model. */
  private async fire(node: GraphNode, gathered: Gathered): Promise<boolean> {
    const record = this.newRecord(node, gathered);
    if (node.node.kind === 'role') {
      this.queue(node, node.node, record, gathered.values);
      return false;
    }
    const { corpus, query } = this.options;
    const made = await execute(node, gathered.values, { corpus, query });
    record.outputs = made.outputs;
    if (made.error !== undefined) record.error = made.error;
    if (made.answer !== undefined) this.trace.answer = made.answer;
    this.emit(node, record);
    return true;
  }

  private queue(node: GraphNode, role: NodeOf<'role'>, record: TraceRecord, values: Values): void {
    const spec = this.options.graph.workflow.roles[role.role];
    const policy = this.options.cast.roles[role.role];
    const { seed, step, phase, query, greedy, traceId } = this.options;
    const optional = role.inputs.filter((port) => port.optional).map((port) => port.name);
    const messages = guarded(role.id, () => renderPrompt(spec, values, optional));
    // Held-out and single questions do not depend on how far training is; questions drawn again in training must differ.
    record.seed = hashSeed(seed, phase === 'train' ? step : phase, query.id, role.id, record.turn);
    record.role = role.role;
    record.policy = policy;
    const { sample = { index: 0 } } = this.options;
    const call = this.calls++;
    record.seed = sampleSeed(record.seed, sample, call);
    record.trainable = !this.options.cast.policies[policy].frozen && learnsFrom(sample, call);
    record.prompt = messages.map((message) => ({ role: message.role, content: message.content }));
    const sampling = { ...spec.sampling, temperature: greedy ? 0 : spec.sampling.temperature, seed: record.seed };
    const request: GenerateRequest = {
      record: `${traceId}/${record.id}`,
      prompt: { messages },
      sampling,
      keep: record.trainable && phase === 'train',
    };
    this.waiting.add(role.id);
    this.pending.push({ policy, request, timeoutMs: role.timeoutMs, record, node, role: spec });
  }

  private newRecord(node: GraphNode, gathered: Gathered): TraceRecord {
    const { id, kind, title } = node.node;
    const turn = this.visits.get(id) ?? 0;
    this.visits.set(id, turn + 1);
    const label =
      title !== ''
        ? title
        : kind === 'role'
          ? this.options.graph.workflow.roles[node.node.kind === 'role' ? node.node.role : ''].title || id
          : id;
    return {
      id: `${id}#${turn}`,
      node: id,
      kind,
      title: label,
      turn,
      parents: [...new Set(gathered.parents)],
      inputs: gathered.values,
      outputs: {},
      trainable: false,
      rewards: [],
    };
  }

  /** Puts a finished record on the trace and its values on the edges. */
  private emit(node: GraphNode, record: TraceRecord): void {
    if (this.trace.records.length >= maxRecords) return this.drop(`more than ${maxRecords} steps`);
    this.trace.records.push(record);
    for (const [port, value] of Object.entries(record.outputs)) {
      for (const edge of node.outgoing[port] ?? []) this.carried.set(edge, { value, record: record.id });
    }
    this.options.onRecord?.(this.trace, record);
  }
}
