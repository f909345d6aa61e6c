/** What one question's walk is given: the graph, the team that plays it, the question, and how it is to be drawn. */
import type { Metric } from '../rewards/answer.ts';
import type { Cast } from '../schema/cast.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Query } from '../tasks/task.ts';
import type { ToolContext } from '../tools/index.ts';
import type { Graph } from './graph.ts';
import type { Pinned } from './pinned.ts';
import type { Replay } from './replay.ts';
import type { Sample } from './samples.ts';
import type { Inside } from './team.ts';

export type WalkOptions = {
  graph: Graph;
  cast: Cast;
  query: Query;
  corpus: ToolContext['corpus'];
  /** Reads pages for tools; absent where the web is off. */
  web?: ToolContext['web'];
  /** What the task is scored by; F1 and EM are always counted. */
  metric?: Metric;
  traceId: string;
  phase: Trace['phase'];
  step: number;
  seed: number;
  greedy: boolean;
  /** Which of several samples of the question this is; the only one when absent. */
  sample?: Sample;
  /** The earlier walk that this one repeats but for one change. */
  replay?: Replay;
  /** Nodes that give these results instead of running. */
  pinned?: Pinned;
  onRecord?: (trace: Trace, record: TraceRecord) => void;
  /** For the walk of a written team: where it stands and what it may use. */
  inside?: Inside;
};
