/**
 * What a screen may ask of the controller and what the controller tells it: types only. A screen never waits for a number;
 * long work is a job with progress that can be paused, resumed and stopped. Values are plain JSON (structured clone).
 */
import type {
  ChatMessage,
  DeviceInfo,
  DeviceReport,
  FileSet,
  ModelInfo,
  ActivationPrecision,
  KeyPrecision,
  WeightPrecision,
} from '../engine/protocol.ts';
import type { PersonTurn } from './run/answering.ts';
import type { Cast, Method } from './schema/cast.ts';
import type { Evaluation, RunConfig, StepMetrics } from './schema/run.ts';
import type { ForkChange, Trace } from './schema/trace.ts';
import type { Values } from './schema/value.ts';
import type { Workflow } from './schema/workflow.ts';

export type WorkflowSummary = { name: string; title: string; description: string; roles: string[]; template: boolean };
export type TaskSummary = {
  name: string;
  title: string;
  description: string;
  train: number;
  heldOut: number;
  /** A few of its questions, to try by hand. */ examples?: string[];
};

export type ModelEntry = {
  name: string;
  bundled: boolean;
  info: ModelInfo | null;
  /** Why it cannot be used, where it cannot. */
  problem?: string;
};

/** How a chat's answer is sampled; 0.7 and 256 tokens where nothing is said. */
export type ChatSampling = { temperature?: number; maxTokens?: number };

/** What a person chooses to start training; everything else has a default that the frozen run.json shows. */
export type TrainRequest = {
  /** The run's name; made from the workflow, the cast and the time when absent. */
  id?: string;
  /** What people call it; by team, task and cast when absent. */
  title?: string;
  workflow: string | Workflow;
  /** Of the bundled ones the one that the team is for, when absent. */
  task?: string;
  corpus?: string;
  model: string;
  method?: Method;
  /** `shared`, `separate`, a cast kept in the workflow, or a cast itself. */
  cast: string | Cast;
  /** How exact the weights are that every policy samples with, in place of the cast's own. */
  weights?: WeightPrecision;
  /** Likewise the keys and values, and what flows between the kernels. */
  keys?: KeyPrecision;
  activations?: ActivationPrecision;
  /** What it may take of the device's memory; without, whatever there is. */
  memoryGiB?: number;
  seed: number;
  steps?: number;
  queries?: number;
  /** Samples of each query in a step: groups for the group estimators. */
  samples?: number;
  /** Samples after the first branch off it, or off the best so far, one call each, instead of being independent. */
  branch?: boolean | 'best';
  evalEvery?: number;
  evalLimit?: number;
  checkpointEvery?: number;
  /** `all` keeps every checkpoint that `checkpointEvery` makes, beside the newest and the best. */
  keepCheckpoints?: 'best' | 'all';
  /** Of the task: {"heldOut": 100}. */
  taskOptions?: Record<string, string | number | boolean>;
  /** Let tools read the web, from the hosts their nodes name. */
  web?: boolean;
  /** What a team reads of a search, in place of the workflow's own: passages in all and words of each. */
  search?: { passages?: number; words?: number };
  /** Overrides of the engine's PPO settings. */
  ppo?: Record<string, unknown>;
  /** Learn by supervised fine-tuning on what went well, a round a step, with these overrides, instead of by PPO. */
  sft?: Record<string, unknown>;
};

/** A new run that goes on from another one's checkpoint; what is not named stays as that run has it. */
export type BranchRequest = Pick<
  TrainRequest,
  'id' | 'queries' | 'samples' | 'evalEvery' | 'evalLimit' | 'checkpointEvery' | 'keepCheckpoints' | 'ppo' | 'sft'
> & {
  run: string;
  /** One of its checkpoints. */
  step: number;
  title?: string;
  /** At which step the branch ends; it begins at `step`. */
  steps?: number;
  seed?: number;
  cast?: string | Cast;
  /** Whose weights a policy begins with; null: untrained. Those not named take their namesake's, or their first role's. */
  weights?: Readonly<Record<string, string | null>>;
};

export type JobState =
  'queued' | 'starting' | 'running' | 'pausing' | 'paused' | 'stopping' | 'stopped' | 'done' | 'failed';

export type Job = {
  run: string;
  title: string;
  state: JobState;
  step: number;
  steps: number;
  /** What it does right now, for the status bar: "rollout 12 of 32". */
  phase: string;
  done: number;
  total: number;
  /** null while unknown. */
  etaMs: number | null;
  /** When anything last moved; a screen says "stalled" 10 s after it. */
  movedAt: number;
  /** What it may take of the device's memory, where that was limited. */
  budgetBytes?: number;
  error?: string;
};

export type RunSummary = {
  id: string;
  title: string;
  created: string;
  workflow: string;
  cast: string;
  task: string;
  model: string;
  step: number;
  steps: number;
  state: JobState;
  before: Evaluation | null;
  latest: Evaluation | null;
  seed: number;
  note?: string;
  /** What was set that decides what a run costs; the method is the first trained policy's. */
  trained: { method: Method['kind']; policies: number; queries: number };
  /** What the last step cost; the engine's highest memory so far. */
  measured?: { device: string; peakBytes: number; stepMs: number };
  /** Where a branch began. */
  from?: { run: string; step: number };
};

/** The configuration that would be frozen, every default filled in, and what it takes of the device's memory, where that is planned. */
export type RunPlan = { config: RunConfig; memory: string | null };

/** What one checkpoint is: its size, and the held-out result at its step where there was a test. */
export type CheckpointSummary = { step: number; bytes: number; eval?: Evaluation };

export type RunDetail = {
  config: RunConfig;
  state: JobState;
  metrics: StepMetrics[];
  checkpoints: CheckpointSummary[];
};

/** Of one role in a trace: its mean reward, whether all it said was legal, and how many records it made. */
export type TraceRoleRow = readonly [reward: number | null, legal: boolean, records: number];

export type TraceSummary = {
  id: string;
  /** The question's id in its task. */
  query: string;
  step: number;
  phase: Trace['phase'];
  question: string;
  answer: string;
  status: Trace['status'];
  /** What the task is scored by. */
  score: number;
  f1: number;
  em: number;
  /** Mean of the records' rewards. */
  reward: number;
  legal: boolean;
  /** Whether a tool or another node failed. */
  failed: boolean;
  records: number;
  /** Written by its roles. */
  tokens: number;
  roles: Record<string, TraceRoleRow>;
};

/** A row of a list, with what a person put on the trace and, grouped by question, the size of the group it begins. */
export type TraceRow = TraceSummary & { tags?: string[]; group?: number };

/** Of all that a filter lets through: mean score and reward, and the shares that were illegal and dropped, each in [0, 1]. */
export type TraceMeans = { score: number; reward: number; illegal: number; dropped: number };

/** A part of a list; `means` is null where the list is empty. */
export type TracePage = { total: number; rows: TraceRow[]; means: TraceMeans | null };

export type TraceOrder = 'newest' | 'oldest' | 'query' | 'best' | 'worst' | 'most-reward' | 'least-reward' | 'longest';

export type TraceFilter = {
  step?: number;
  /** First and last step. */
  from?: number;
  to?: number;
  phase?: Trace['phase'];
  text?: string;
  query?: string;
  /** In which this role spoke; `legal` and `reward` are then the role's. */
  role?: string;
  legal?: boolean;
  /** Whether a tool or another node failed. */
  failed?: boolean;
  dropped?: boolean;
  /** Least and most. */
  reward?: readonly [number, number];
  score?: readonly [number, number];
  tag?: string;
  order?: TraceOrder;
  offset?: number;
  limit?: number;
};

/** What a person wrote on a trace or on one record of it. */
export type Note = { trace: string; record?: string; text: string; tags: string[]; at: string };

/** What other weights say of a record's tokens; `top`: what they would most likely have said in each place, best first. */
export type ScoredRecord = {
  logprobs: number[];
  entropy: number[];
  top: { piece: string; logprob: number }[][];
};

/** A role's turn that waits for a person. */
export type Turn = PersonTurn & { readonly id: string };

/** Where the key of a service is found; `nowhere` where services are not asked at all. */
export type KeyPlace = 'environment' | 'kept' | 'missing' | 'nowhere';

export type DownloadState = 'listing' | 'running' | 'waiting' | 'checking' | 'paused' | 'failed' | 'done';

/** A model on its way here. */
export type Download = {
  /** The name it will have. */
  name: string;
  repo: string;
  endpoint: string;
  state: DownloadState;
  /** The file that is being fetched. */
  file: string;
  doneBytes: number;
  /** 0 while unknown. */
  totalBytes: number;
  /** Over the last ten seconds. */
  bytesPerSecond: number;
  /** null while unknown. */
  etaMs: number | null;
  movedAt: number;
  /** Why it waits or failed. */
  note?: string;
};

/** `repo`: "owner/name", "owner/name/file.gguf", "@revision" behind either. */
export type DownloadRequest = { repo: string; endpoint?: string; name?: string };

/** Nothing is asked of any endpoint before `download` or `resumeDownload` is called. */
export type DownloadApi = {
  /** Those under way and those left unfinished. */
  downloads(): Promise<Download[]>;
  download(request: DownloadRequest): Promise<Download>;
  /** Keeps what has come. */
  pauseDownload(name: string): Promise<void>;
  resumeDownload(name: string): Promise<Download>;
  /** Ends it and throws away what has come. */
  cancelDownload(name: string): Promise<void>;
};

export type ControllerApi = DownloadApi & {
  device(): Promise<DeviceInfo>;
  devices(measure: boolean): Promise<DeviceReport[]>;
  memory(): Promise<{ usedBytes: number; peakBytes: number }>;

  workflows(): Promise<WorkflowSummary[]>;
  workflow(name: string): Promise<Workflow>;
  saveWorkflow(workflow: Workflow): Promise<void>;
  /** Takes a saved team's file away; runs keep the team as they trained it. A template cannot be removed. */
  removeWorkflow(name: string): Promise<void>;
  tasks(): Promise<TaskSummary[]>;

  models(): Promise<ModelEntry[]>;
  addModel(name: string, files: FileSet): Promise<ModelEntry>;
  removeModel(name: string): Promise<void>;
  /** A short conversation with one model; text streams through onText with `record`. */
  chat(
    model: string,
    messages: ChatMessage[],
    record: string,
    sampling?: ChatSampling,
  ): Promise<{ text: string; tokens: number; ms: number }>;

  runs(): Promise<RunSummary[]>;
  run(id: string): Promise<RunDetail>;
  removeRun(id: string): Promise<void>;
  /** Gives a run another name and note; an empty note takes it away. */
  describeRun(id: string, about: { title: string; note: string }): Promise<void>;
  /** What `train` would begin; nothing is written. */
  plan(request: TrainRequest): Promise<RunPlan>;
  train(request: TrainRequest): Promise<{ run: string }>;
  branch(request: BranchRequest): Promise<{ run: string }>;
  /** True pause: the current step is finished or dropped cleanly, and everything is on disk. */
  pause(run: string): Promise<void>;
  resume(run: string): Promise<void>;
  /** Stop and keep what was learned. */
  stop(run: string): Promise<void>;
  jobs(): Promise<Job[]>;

  /** Of a run, or of the questions asked one by one where the run is `-questions`; so with all that follows. */
  traces(run: string, filter: TraceFilter): Promise<TracePage>;
  trace(run: string, id: string): Promise<Trace>;
  /** Runs a trace on from one of its records, once for each change; all are kept as its forks. */
  forkTrace(request: { run: string; trace: string; record: string; changes: ForkChange[] }): Promise<Trace[]>;
  /** The forks that left this trace, oldest first. */
  forks(run: string, trace: string): Promise<Trace[]>;
  /** What the weights of a step (0: untrained, else a checkpoint) say of a record's tokens, one entry a token. */
  scoreRecord(request: { run: string; trace: string; record: string; step: number }): Promise<ScoredRecord>;
  /** A finished trace with the rewards that a workflow's rules give it now. */
  tryRewards(workflow: Workflow, cast: Cast, trace: Trace): Promise<Trace>;
  /** Every note of a run, the latest of each trace and record. */
  notes(run: string): Promise<Note[]>;
  /** Puts a note on a trace or a record in place of the one there; without text and tags it takes it away. */
  note(run: string, note: Omit<Note, 'at'>): Promise<void>;
  /** Runs one question; the trace streams through onText, is kept and returned whole. */
  runQuestion(request: {
    workflow: string | Workflow;
    cast: string | Cast;
    model: string;
    /** As in `TrainRequest`. */
    task?: string;
    question: string;
    /** With the weights of this run, of its newest checkpoint or that of `step`; a team that is named comes as it was trained. */
    run?: string;
    step?: number;
    seed: number;
    /** Let tools read the web, from the hosts their nodes name. */
    web?: boolean;
    /** Results that stand for nodes, which then do not run; sub-workflows' nodes as "<node>.<inner node>". */
    pinned?: Readonly<Record<string, Values>>;
  }): Promise<Trace>;
  /** Ends the question, the fork or the chat answer in progress: the first two reject with `Cancelled`, the chat returns what was said. */
  stopAnswer(): Promise<void>;
  /** Where the key of this name for the service at this address is found. */
  serviceKey(url: string, name: string): Promise<KeyPlace>;
  /** Gives the key of a service to the system's key store. */
  keepServiceKey(url: string, name: string, key: string): Promise<void>;
  /** Turns of roles that a person plays, in the order they came; `onTurns` tells of every change. */
  turns(): Promise<Turn[]>;
  answerTurn(id: string, text: string): Promise<void>;
  /** Files of a checkpoint, the newest without a step, for download: PEFT adapter or merged safetensors. */
  exportPolicy(
    run: string,
    policy: string,
    what: 'peft' | 'merged',
    step?: number,
  ): Promise<{ name: string; bytes: Uint8Array }[]>;
};

/** What a record says while it is written; of a single question's records also that one is asked or done, with no text. */
export type TextEvent = { record: string; text: string; state?: 'asked' | 'done' };

export type ControllerEvents = {
  onJob(job: Job): void;
  onStep(run: string, metrics: StepMetrics): void;
  onText(event: TextEvent): void;
  onDownload(download: Download): void;
  /** All turns that wait for a person now. */
  onTurns(turns: Turn[]): void;
  /** A sentence for the person that belongs to no job: a device lost, a model that could not be read. */
  onNotice(notice: { level: 'info' | 'warning' | 'error'; text: string }): void;
};
