/**
 * One question's way through a workflow. `advance` fires every node that is ready until only calls of a model are left in
 * `pending`; whoever runs the walk answers those with `deliver` and calls `advance` again. A path a router did not take is
 * dead: nodes that need a value from it are skipped, so a join behind a router fires. A team that a role wrote walks inside its
 * node, and its calls wait with the others. Knows no batches and no policies' insides.
 */
import type { Generation } from '../../engine/protocol.ts';
import { scoreAnswer } from '../rewards/answer.ts';
import { passedTests } from '../rewards/passed.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import { isOfType, type Json, type Values } from '../schema/value.ts';
import type { WorkflowNode } from '../schema/workflow.ts';
import { joinOutputs, type CallInputs } from './calls.ts';
import type { Carried } from './carry.ts';
import { evaluateCondition } from './cel.ts';
import { Dropped, guarded } from './dropped.ts';
import { Edges, whole, type Gathered } from './edges.ts';
import { execute } from './execute.ts';
import type { GraphNode, Step } from './graph.ts';
import { memoryParents, openMemory, remember, type Memory } from './memory.ts';
import { newRecord, placed } from './new-record.ts';
import { idleNodes } from './pinned.ts';
import type { Pending, RoleNode } from './role-call.ts';
import { RoleVisits } from './role-visits.ts';
import { openTeam, spend, type Inside } from './team.ts';
import type { TeamNode } from './team-rules.ts';
import type { WalkOptions } from './walk-options.ts';

type NodeOf<Kind extends WorkflowNode['kind']> = Extract<WorkflowNode, { kind: Kind }>;

/** Most node executions of one question: nested loops multiply. */
const maxRecords = 5_000;
const maxTeamRecords = 500;

export class Walk {
  readonly trace: Trace;
  private readonly options: WalkOptions;
  private readonly edges: Edges;
  private readonly settled = new Set<string>();
  /** Visits of each node and the records of models' calls so far, those of written teams among them. */
  private readonly counts: Inside['counts'];
  private readonly roles: RoleVisits;
  /** Written teams at work, by their node. */
  private readonly teams = new Map<string, { walk: Walk; record: TraceRecord; ends: string[] }>();
  /** How often the body of each running loop was taken. */
  private readonly turns = new Map<string, number>();
  private readonly memory: Memory;
  /** What nobody asks for, since results are pinned behind it. */
  private readonly idle: ReadonlySet<string>;
  private finished = false;

  constructor(options: WalkOptions) {
    this.options = options;
    this.memory = openMemory(options.graph.workflow.memory);
    this.counts = options.inside?.counts ?? { visits: new Map(), calls: [] };
    this.roles = new RoleVisits(options, this.counts.calls);
    this.edges = new Edges(options.graph);
    this.idle = idleNodes(options.graph, options.pinned ?? {});
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

  /** Calls that wait for a model. */
  get pending(): readonly Pending[] {
    return this.teams.size === 0
      ? this.roles.pending
      : [...this.roles.pending, ...[...this.teams.values()].flatMap(({ walk }) => walk.pending)];
  }

  /** Fires what is ready. Afterwards the walk is finished or `pending` is not empty. */
  async advance(): Promise<void> {
    if (this.finished) return;
    try {
      do {
        if (await this.level(this.options.graph.steps)) this.finish();
      } while (this.repeated());
    } catch (error) {
      if (!(error instanceof Dropped)) throw error;
      this.drop(error.message);
    }
  }

  /** Answers what an earlier walk answered already; false when there was nothing. */
  private repeated(): boolean {
    const { replay } = this.options;
    if (replay === undefined) return false;
    let some = false;
    for (const pending of [...this.pending]) {
      const answer = replay.answer(pending.record);
      if (answer === null) continue;
      this.deliver(pending, answer);
      some = true;
    }
    return some && !this.finished;
  }

  /** Ids of the records that models were called for, in the order of the calls. */
  get called(): readonly string[] {
    return this.counts.calls;
  }

  /** Takes the answer to one pending call. */
  deliver(pending: Pending, generation: Generation): void {
    if (this.finished) return;
    const inner = this.innerOf(pending);
    if (inner !== undefined) return inner.deliver(pending, generation);
    const { record, node } = pending;
    const visit = this.roles.answer(pending, generation);
    if (record.index === undefined) this.emit(node, record);
    else this.put(record);
    if (visit !== null) {
      this.settled.add(node.node.id);
      if (record.index !== undefined) this.edges.put(node, joinOutputs(node.outputs, visit));
    }
    if (generation.finish === 'context' && generation.ids.length === 0)
      this.drop(`${node.node.id}: the prompt is longer than the model's context`);
    if (generation.finish === 'cancelled') this.drop(`${node.node.id}: the call was cancelled`);
  }

  /** A call that cannot be answered ends the walk it belongs to: a written team, or the question. */
  fail(pending: Pending, reason: string): void {
    (this.innerOf(pending) ?? this).drop(reason);
  }

  private innerOf(pending: Pending): Walk | undefined {
    return [...this.teams.values()].find(({ walk }) => walk.pending.includes(pending))?.walk;
  }

  /** Ends the walk without an answer. */
  drop(reason: string): void {
    if (this.finished) return;
    this.finished = true;
    this.roles.end();
    this.teams.clear();
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
      if (this.idle.has(step.id)) {
        this.settled.add(step.id);
        continue;
      }
      const ready = step.after.every((id) => this.settled.has(id));
      if (ready && (step.kind === 'node' ? await this.runNode(step.id) : await this.runCycle(step)))
        this.settled.add(step.id);
      else all = false;
    }
    return all;
  }

  private async runNode(id: string): Promise<boolean> {
    if (this.roles.isOpen(id)) return false;
    const node = this.options.graph.nodes.get(id)!;
    if (this.teams.has(id)) return this.goOn(node);
    const gathered = this.edges.gather(node);
    const { pinned = {} } = this.options;
    if (Object.hasOwn(pinned, id)) return this.give(node, gathered ?? new Map(), pinned[id] as Values);
    return gathered === null || (await this.fire(node, gathered));
  }

  /** A pinned result in place of a run; what its node would have read may not have been made. */
  private give(node: GraphNode, gathered: Gathered, given: Values): boolean {
    const record = this.newRecord(node, whole(gathered));
    record.outputs = checked(node, given, 'pinned');
    record.pinned = true;
    this.emit(node, record);
    return true;
  }

  private async runCycle(step: Extract<Step, { kind: 'cycle' }>): Promise<boolean> {
    const header = this.options.graph.nodes.get(step.id)!;
    if (!this.turns.has(step.id)) {
      this.edges.clear((from) => step.members.has(from));
      const entered = this.edges.read(header, 'in');
      if (entered === null) return true;
      this.turns.set(step.id, 0);
      if (this.visitLoop(step, header, entered, 'in')) return true;
    }
    while (await this.level(step.body)) {
      const again = this.edges.read(header, 'again');
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
    entered: Carried,
    port: 'in' | 'again',
  ): boolean {
    const node = header.node as NodeOf<'loop'>;
    const turn = this.turns.get(node.id)!;
    const extra: Values = {};
    const parents = [...entered.records];
    for (const { name } of node.inputs) {
      const read = this.edges.read(header, name);
      extra[name] = read?.value ?? null;
      parents.push(...(read?.records ?? []));
    }
    const over =
      turn >= node.limit ||
      guarded(node.id, () => evaluateCondition(node.until, { ...extra, turn, value: entered.value }));
    const record = this.newRecord(header, { values: { [port]: entered.value, ...extra }, parents });
    record.outputs = { [over ? 'done' : 'body']: entered.value };
    if (over) this.turns.delete(node.id);
    else {
      this.turns.set(node.id, turn + 1);
      for (const id of step.members) this.settled.delete(id);
      this.edges.clear((from, to) => step.members.has(from) && step.members.has(to));
    }
    this.emit(header, record, entered.items);
    return over;
  }

  /** Executes one node; false when it now waits for a model. */
  private async fire(node: GraphNode, gathered: Gathered): Promise<boolean> {
    if (node.node.kind === 'role') return this.ask(node, node.node, gathered);
    if (node.node.kind === 'memory') return this.remember(node, node.node, gathered);
    if (node.node.kind === 'team') return this.begin(node, node.node, gathered);
    const { values, parents } = whole(gathered);
    const { corpus, query, web, inside, replay } = this.options;
    const before = node.node.kind === 'input' ? (inside?.parents ?? []) : [];
    const record = this.newRecord(node, { values, parents: [...parents, ...before] });
    const given = replay?.outputs(record) ?? null;
    const made =
      given === null
        ? await spend(inside, node, (timed) => execute(timed, values, { corpus, query, web }))
        : { outputs: checked(node, given, 'changed') };
    record.outputs = made.outputs;
    if (made.error !== undefined) record.error = made.error;
    if (made.answer !== undefined) this.trace.answer = made.answer;
    this.emit(node, record);
    return true;
  }

  /** Opens a written team and walks as far as it goes; one that may not run gives an empty answer. */
  private async begin(node: GraphNode, spec: TeamNode, gathered: Gathered): Promise<boolean> {
    const { values, parents } = whole(gathered);
    const record = this.newRecord(node, { values, parents });
    const opened = openTeam(this.options.graph.workflow, spec, values);
    if ('problem' in opened) return this.ended(node, record, { error: opened.problem });
    const ends: string[] = [];
    const put = (each: TraceRecord): void => {
      if (each.kind === 'output') ends.push(each.id);
      this.put(each);
    };
    // What a model wrote reads no pages, whatever the run allows.
    const { query, inside: _, onRecord: __, web: ___, pinned: ____, ...options } = this.options;
    const inside = { node: spec.id, player: spec.player, parents, counts: this.counts, put, left: opened.limits };
    const walk = new Walk({
      ...options,
      graph: opened.graph,
      query: { ...query, answers: [], values: opened.given },
      inside,
    });
    this.teams.set(spec.id, { walk, record, ends });
    return this.goOn(node);
  }

  private async goOn(node: GraphNode): Promise<boolean> {
    const { walk, record, ends } = this.teams.get(node.node.id)!;
    await walk.advance();
    if (walk.live) return false;
    this.teams.delete(node.node.id);
    record.parents = [...new Set([...record.parents, ...ends])];
    return this.ended(node, record, { answer: walk.trace.answer, error: walk.trace.reason });
  }

  private ended(node: GraphNode, record: TraceRecord, { answer, error }: { answer?: string; error?: string }): boolean {
    record.outputs = { answer: answer ?? '' };
    if (error !== undefined) record.error = error;
    this.emit(node, record);
    return true;
  }

  private remember(node: GraphNode, spec: NodeOf<'memory'>, gathered: Gathered): boolean {
    const { values, parents } = whole(gathered);
    const record = this.newRecord(node, { values, parents: [...parents, ...memoryParents(this.memory, spec)] });
    remember(this.memory, this.options.graph.workflow.memory ?? {}, spec, values, record.id);
    const held = node.outputs.map(({ name }) => [name, this.memory.get(name)!] as const);
    record.outputs = Object.fromEntries(held.map(([name, { value }]) => [name, value]));
    this.put(record);
    // Whoever reads the memory has it from this record, though its items keep the records that added them.
    this.edges.put(node, Object.fromEntries(held.map(([name, each]) => [name, { ...each, records: [record.id] }])));
    return true;
  }

  /** Asks a role's models; true when there is nobody to ask, for an empty list. */
  private ask(node: GraphNode, role: RoleNode, gathered: Gathered): boolean {
    if (this.roles.begin(node, role, gathered, this.visit(role.id))) return false;
    const { parents: records } = whole(gathered);
    const nothing = node.outputs.map(({ name }): [string, Carried] => [name, { value: [], records, items: [] }]);
    this.edges.put(node, Object.fromEntries(nothing));
    return true;
  }

  private newRecord(node: GraphNode, read: CallInputs): TraceRecord {
    return newRecord(this.options, node, read, this.visit(node.node.id));
  }

  /** How often a node ran before this visit. */
  private visit(id: string): number {
    const { visits } = this.counts;
    const place = placed(this.options, id);
    const turn = visits.get(place) ?? 0;
    visits.set(place, turn + 1);
    return turn;
  }

  private put(record: TraceRecord): void {
    const { inside, onRecord } = this.options;
    const most = inside === undefined ? maxRecords : maxTeamRecords;
    if (this.trace.records.length >= most) return this.drop(`more than ${most} steps`);
    this.trace.records.push(record);
    inside?.put(record);
    onRecord?.(this.trace, record);
  }

  /** Puts a finished record on the trace and its values on the edges; a value passed on keeps where its items came from. */
  private emit(node: GraphNode, record: TraceRecord, items?: Carried['items']): void {
    this.put(record);
    const values = Object.entries(record.outputs) as [string, Json][];
    this.edges.put(
      node,
      Object.fromEntries(
        values.map(([port, value]) => [
          port,
          { value, records: [record.id], ...(items === undefined ? {} : { items }) },
        ]),
      ),
    );
  }
}

/** A result as a person gave it. A router gives one of its branches. */
function checked({ node, outputs }: GraphNode, given: Values, how: 'changed' | 'pinned'): Values {
  for (const { name, type, optional } of outputs)
    if (!(Object.hasOwn(given, name) ? isOfType(given[name], type) : optional || node.kind === 'router'))
      throw new Dropped(`${node.id}: the ${how} result has no ${type} called ${name}`);
  return given;
}
