/**
 * The screens' one line to the controller: holds the typed client and what every screen shares (device, memory, jobs, lists,
 * notices), and keeps these fresh from the controller's events. It draws nothing.
 */
import { getContext, setContext } from 'svelte';
import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import { Cancelled } from '../../engine/errors.ts';
import type { DeviceInfo } from '../../engine/protocol.ts';
import type {
  ControllerApi,
  ControllerEvents,
  Download,
  Job,
  ModelEntry,
  RunSummary,
  TaskSummary,
  Turn,
  WorkflowSummary,
} from '../../workflows/protocol.ts';
import type { StepMetrics } from '../../workflows/schema/run.ts';
import type { Trace } from '../../workflows/schema/trace.ts';
import { words } from '../words.ts';
import { JobNews, type News } from './job-news.ts';
import { foremost } from './job-status.ts';
import { isOwnKeys, keymap, type OwnKeys } from './keymap.ts';
import { recall, remember } from './remember.ts';
import { parseRoute, routeHash, type Route } from './routes.ts';
import { chooseTheme, rememberedTheme, type ThemeChoice } from './theme.ts';

export type Notice = { readonly id: number; readonly level: 'info' | 'warning' | 'error'; readonly text: string };
export type Memory = { readonly usedBytes: number; readonly peakBytes: number };
type StepListener = (run: string, metrics: StepMetrics) => void;
type TextListener = ControllerEvents['onText'];

const MEMORY_EVERY_MS = 3_000;
const INFO_STAYS_MS = 6_000;
const SINGLE_KEPT = 20;

/** The sentence of a failure, without a class name in front. */
export function sentence(failure: unknown): string {
  const text = failure instanceof Error ? failure.message : String(failure);
  return text.replace(/^(UserError|Error):\s*/, '');
}

export class Session {
  route = $state.raw<Route>(parseRoute(location.hash));
  api = $state.raw<ControllerApi | null>(null);
  failure = $state<string | null>(null);
  device = $state.raw<DeviceInfo | null>(null);
  memory = $state.raw<Memory | null>(null);
  workflows = $state.raw<WorkflowSummary[]>([]);
  tasks = $state.raw<TaskSummary[]>([]);
  models = $state.raw<ModelEntry[]>([]);
  runs = $state.raw<RunSummary[]>([]);
  notices = $state.raw<Notice[]>([]);
  /** Turns that wait for the person, in the order they came. */
  turns = $state.raw<Turn[]>([]);
  now = $state(Date.now());
  theme = $state<ThemeChoice>(rememberedTheme());
  /** A person's own keys for shortcuts. */
  ownKeys = $state.raw<OwnKeys>(recall('keys', isOwnKeys) ?? {});
  readonly keymap = $derived(keymap(this.ownKeys));
  readonly jobs = new SvelteMap<string, Job>();
  /** Lists that have been read once: before that, an empty one says nothing. */
  readonly known = new SvelteSet<'workflows' | 'models' | 'runs'>();
  /** Traces of the single questions asked last in this page, by id; all of them are in the workspace. */
  readonly singleTraces = new SvelteMap<string, Trace>();
  /** Weights to ask a team with once it is shown: "RUN@STEP", chosen at a checkpoint. */
  tryWith = $state.raw<{ readonly workflow: string; readonly weights: string } | null>(null);
  /** Teams that wait for the Team screen to take them up: a file's text each, or null for an empty canvas. */
  arrivals = $state.raw<(string | null)[]>([]);
  /** Models on their way here, by name. */
  downloads = $state.raw<readonly Download[]>([]);
  /** A model's files that wait for the Models screen. */
  droppedModel = $state.raw<readonly File[] | null>(null);
  readonly #news = new JobNews();
  readonly foremostJob = $derived(foremost([...this.jobs.values()]));
  #noticeId = 0;
  #stepListeners = new Set<StepListener>();
  #textListeners = new Set<TextListener>();

  readonly events: ControllerEvents = {
    onJob: (job) => this.#jobMoved(job),
    onStep: (run, metrics) => this.#stepDone(run, metrics),
    onText: (event) => this.#textListeners.forEach((listen) => listen(event)),
    onTurns: (turns) => (this.turns = turns),
    onDownload: (download) => this.#downloadMoved(download),
    onNotice: (notice) => this.notify(notice.level, notice.text),
  };

  /** Takes a connected client and fills the shared lists; each list may fail alone. */
  async open(api: ControllerApi): Promise<void> {
    this.api = api;
    setInterval(() => {
      this.now = Date.now();
      this.#news.still(this.jobs.values(), this.now).forEach((news) => this.#tell(news));
    }, 1_000);
    void this.attempt(async () => (this.device = await api.device()));
    await Promise.all([
      this.refreshWorkflows(),
      this.refreshTasks(),
      this.refreshModels(),
      this.refreshRuns(),
      this.refreshJobs(),
      this.refreshDownloads(),
      this.attempt(async (api) => (this.turns = await api.turns())),
    ]);
    this.#watchMemory(api);
  }

  keepSingle(trace: Trace): void {
    this.singleTraces.set(trace.id, trace);
    for (const old of [...this.singleTraces.keys()].slice(0, -SINGLE_KEPT)) this.singleTraces.delete(old);
  }

  fail(reason: string): void {
    this.failure = words.start.failed(reason);
  }

  /** Runs one request; a failure becomes one sentence in the message region and null here. */
  async attempt<T>(work: (api: ControllerApi) => Promise<T>): Promise<T | null> {
    try {
      if (!this.api) return null;
      return await work(this.api);
    } catch (failure) {
      // What a person stopped is no news to them.
      if (!(failure instanceof Cancelled)) this.notify('error', sentence(failure));
      return null;
    }
  }

  notify(level: Notice['level'], text: string): void {
    if (this.notices.some((notice) => notice.text === text && notice.level === level)) return;
    const id = ++this.#noticeId;
    this.notices = [...this.notices.slice(-4), { id, level, text }];
    if (level === 'info') setTimeout(() => this.dismiss(id), INFO_STAYS_MS);
  }

  setTheme(choice: ThemeChoice): void {
    this.theme = choice;
    chooseTheme(choice);
  }

  setOwnKeys(own: OwnKeys): void {
    this.ownKeys = own;
    remember('keys', Object.keys(own).length === 0 ? null : own);
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  go(route: Route): void {
    location.hash = routeHash(route);
  }

  /** Begins a team on the Team screen: an empty one, or one from a file's text. */
  bringTeam(text: string | null): void {
    this.arrivals = [...this.arrivals, text];
    if (this.route.screen !== 'team') this.go({ screen: 'team', workflow: null });
  }

  followAddress(): void {
    this.route = parseRoute(location.hash);
  }

  onStep(listen: StepListener): () => void {
    this.#stepListeners.add(listen);
    return () => this.#stepListeners.delete(listen);
  }

  onText(listen: TextListener): () => void {
    this.#textListeners.add(listen);
    return () => this.#textListeners.delete(listen);
  }

  refreshWorkflows(): Promise<unknown> {
    return this.attempt(async (api) => {
      this.workflows = await api.workflows();
      this.known.add('workflows');
    });
  }
  refreshTasks(): Promise<unknown> {
    return this.attempt(async (api) => (this.tasks = await api.tasks()));
  }
  refreshModels(): Promise<unknown> {
    return this.attempt(async (api) => {
      this.models = await api.models();
      this.known.add('models');
    });
  }
  refreshRuns(): Promise<unknown> {
    return this.attempt(async (api) => {
      this.runs = newestFirst(await api.runs());
      this.known.add('runs');
    });
  }
  async refreshJobs(): Promise<void> {
    await this.attempt(async (api) => {
      for (const job of await api.jobs()) this.jobs.set(job.run, job);
    });
  }

  refreshDownloads(): Promise<unknown> {
    return this.attempt(async (api) => (this.downloads = await api.downloads()));
  }

  /** One that is done is a model and no download any more. */
  #downloadMoved(download: Download): void {
    const others = this.downloads.filter((one) => one.name !== download.name);
    this.downloads =
      download.state === 'done' ? others : [...others, download].sort((a, b) => (a.name < b.name ? -1 : 1));
    if (download.state !== 'done') return;
    this.notify('info', words.models.download.done(download.name));
    void this.refreshModels();
  }

  #jobMoved(job: Job): void {
    const before = this.jobs.get(job.run);
    this.jobs.set(job.run, job);
    if (before?.state !== job.state) void this.refreshRuns();
    const news = this.#news.moved(job, Date.now());
    if (news) this.#tell(news);
    if (job.state === 'failed' && before?.state !== 'failed' && job.error) this.notify('error', job.error);
  }

  /** In the page, and by the system where nobody looks at the page and the person has asked for it. */
  #tell({ level, run, text }: News): void {
    // Why a run failed is told anyway.
    if (level !== 'error') this.notify(level, text);
    if (document.hasFocus() || !('Notification' in globalThis) || Notification.permission !== 'granted') return;
    const shown = new Notification(words.product, { body: text, tag: run });
    shown.onclick = () => {
      window.focus();
      this.go({ screen: 'training', run });
    };
  }

  #stepDone(run: string, metrics: StepMetrics): void {
    const evaluation = metrics.eval;
    if (evaluation)
      this.runs = this.runs.map((one) =>
        one.id === run ? { ...one, step: metrics.step, before: one.before ?? evaluation, latest: evaluation } : one,
      );
    this.#stepListeners.forEach((listen) => listen(run, metrics));
  }

  #watchMemory(api: ControllerApi): void {
    let asking = false;
    const ask = async (): Promise<void> => {
      if (asking || document.hidden) return;
      asking = true;
      this.memory = await api.memory().catch(() => this.memory);
      asking = false;
    };
    void ask();
    setInterval(() => void ask(), MEMORY_EVERY_MS);
  }
}

function newestFirst(runs: readonly RunSummary[]): RunSummary[] {
  return [...runs].sort((a, b) => b.created.localeCompare(a.created));
}

const key = Symbol('session');

export function provideSession(session: Session): void {
  setContext(key, session);
}

export function useSession(): Session {
  return getContext<Session>(key);
}
