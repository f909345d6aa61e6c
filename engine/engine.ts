/**
 * The engine: one device, the models loaded on it, the policies that stand on them and the records they keep until an
 * update. It implements the protocol by joining device, formats, model, rollout and learn; it knows no roles, screens or
 * project files. Calls that use the device wait for one another; cancelling does not wait.
 */
import { openDevice, probeDevices, type Device } from './device/open.ts';
import { Cancelled, UserError } from './errors.ts';
import { openModel, type ModelSource } from './formats/model-files.ts';
import { Calls } from './calls.ts';
import { loadBaseModel, type BaseModel } from './model/base-model.ts';
import { exportPolicy, importPolicy } from './model/checkpoint.ts';
import { makePolicy, type BasePolicy } from './model/make-policy.ts';
import { planFor, tuneModels } from './model/choose-trunk.ts';
import { estimateMemory, tokensThatFit } from './model/memory.ts';
import { checkIds, encodeExample, encodePrompt } from './prompts.ts';
import type {
  EngineApi,
  EngineEvents,
  GenerateRequest,
  Generation,
  MemoryReport,
  ModelInfo,
  PolicyInfo,
  PolicySpec,
  SettledRecord,
  SftExample,
  SftReport,
  SftSettings,
} from './protocol.ts';
import { checkSampling } from './rollout/sample.ts';
import { score, TOP_MAX } from './rollout/score.ts';
import { GenerationSession } from './rollout/session.ts';
import { fineTune } from './learn/sft.ts';
import { updatePolicy, type KeptRecord } from './learn/update.ts';

type Records = Map<string, KeptRecord>;

/** An engine in this thread. Bugs and device loss reject calls; `events` is told of tokens, progress and loss. */
export function createEngine(events: EngineEvents): EngineApi {
  const state = new EngineState(events);
  return {
    open: (choice, remembered, tunings) => state.calls.exclusive(() => state.open(choice, remembered, tunings)),
    devices: (measure) => state.calls.exclusive(() => state.devices(measure)),
    inspect: async (files) => modelInfo(await openModel(files)),
    plan: async (files, load) => planFor((await openModel(files)).config, load),
    loadModel: (model, files, call) => state.calls.exclusive(() => state.loadModel(model, files, call), call),
    unloadModel: (model) => state.calls.exclusive(() => state.unloadModel(model)),
    createPolicy: (spec) => state.calls.exclusive(() => state.createPolicy(spec)),
    dropPolicy: (policy) => state.calls.exclusive(() => state.dropPolicy(policy)),
    exportPolicy: (policy, what, call) => state.calls.exclusive(() => exportPolicy(state.policy(policy), what), call),
    importPolicy: (policy, files) => state.calls.exclusive(() => importPolicy(state.policy(policy), files)),
    encode: async (model, prompt) => encodePrompt(state.model(model), prompt),
    generate: (policy, requests, call) =>
      state.calls.join(
        () => new GenerationSession({ yieldToEvents: () => state.pause() }),
        (session) => state.generate(session, policy, requests, call),
        call,
      ),
    score: (policy, items, top = 0) =>
      state.calls.exclusive(() => {
        const { base, trunk } = state.policy(policy);
        const checked = items.map((item) => ({
          promptIds: encodePrompt(base, { ids: item.promptIds }),
          ids: checkIds(base, item.ids),
        }));
        if (!Number.isInteger(top) || top < 0 || top > TOP_MAX)
          throw new UserError(`Alternatives of a token must be 0 to ${TOP_MAX}: ${top}`);
        return score(trunk, state.policy(policy).using(), checked, {
          yieldToEvents: () => state.pause(),
          top: { count: top, piece: (id) => base.tokenizer?.piece(id) ?? String(id) },
        });
      }),
    update: (policy, records, settings, step, call) =>
      state.calls.exclusive(() => state.update(policy, records, settings, step, call), call),
    forget: async (policy, records) => state.forget(policy, records),
    sft: (policy, examples, settings, step, call) =>
      state.calls.exclusive(() => state.sft(policy, examples, settings, step, call), call),
    memory: async () => state.memory(),
    cancel: async (call) => state.calls.cancel(call),
    close: () => state.calls.exclusive(() => state.close()),
  };
}

class EngineState {
  readonly calls = new Calls<GenerationSession>();
  readonly #events: EngineEvents;
  #device: Device | null = null;
  readonly #models = new Map<string, BaseModel>();
  readonly #policies = new Map<string, BasePolicy>();
  readonly #records = new Map<string, Records>();
  #peakBytes = 0;

  constructor(events: EngineEvents) {
    this.#events = events;
  }

  async open(
    choice: Parameters<EngineApi['open']>[0],
    remembered: Parameters<EngineApi['open']>[1],
    tunings: Parameters<EngineApi['open']>[2],
  ): ReturnType<EngineApi['open']> {
    if (this.#device)
      throw new UserError(`A device is open already: ${this.#device.info.name}; close the engine to choose another`);
    this.#device = await openDevice(choice, remembered);
    this.#device.onLost((reason) => {
      this.#abandon();
      this.#events.onDeviceLost({ reason });
    });
    const { kind, name } = this.#device.info;
    if (tunings && kind === 'webgpu')
      tuneModels(tunings[name] ?? {}, (chosen) => this.#events.onTuned({ tunings: { ...tunings, [name]: chosen } }));
    return this.#device.info;
  }

  async devices(measure: boolean): ReturnType<EngineApi['devices']> {
    if (measure && this.#device)
      throw new UserError(`Devices can only be measured before one is opened; ${this.#device.info.name} is open`);
    return probeDevices(measure);
  }

  async loadModel(name: string, files: Parameters<EngineApi['loadModel']>[1], call?: string): Promise<ModelInfo> {
    this.device();
    if (this.#models.has(name)) throw new UserError(`A model named ${name} is loaded already; unload it first`);
    const source = await openModel(files);
    const base = await loadBaseModel(name, source, async (done, total) => {
      this.#progress(call, 'load', done, total);
      await this.pause();
      if (this.calls.cancelled(call)) throw new Cancelled(`Loading ${name}`);
    });
    this.#models.set(name, base);
    return modelInfo(source);
  }

  unloadModel(name: string): void {
    const base = this.model(name);
    const users = [...this.#policies.values()]
      .filter((policy) => policy.base === base)
      .map((policy) => policy.spec.policy);
    if (users.length > 0)
      throw new UserError(`The model ${name} is in use by ${users.join(', ')}; drop these policies first`);
    base.dispose();
    this.#models.delete(name);
  }

  createPolicy(spec: PolicySpec): PolicyInfo {
    if (this.#policies.has(spec.policy))
      throw new UserError(`A policy named ${spec.policy} exists already; drop it first`);
    const policy = makePolicy(spec, this.model(spec.model));
    this.#policies.set(spec.policy, policy);
    return { policy: spec.policy, model: spec.model, trainable: policy.trainable?.size ?? 0, bytes: policy.bytes };
  }

  dropPolicy(name: string): void {
    this.policy(name).dispose();
    this.#policies.delete(name);
    this.#records.delete(name);
  }

  async generate(
    session: GenerationSession,
    name: string,
    requests: readonly GenerateRequest[],
    call?: string,
  ): Promise<Generation[]> {
    const policy = this.policy(name);
    const orders = requests.map(({ record, prompt, sampling }) => {
      checkSampling(sampling);
      return { record, promptIds: encodePrompt(policy.base, prompt), sampling };
    });
    checkUnique(orders.map(({ record }) => record));
    const generations = await session.ask(policy, orders, {
      onToken: (record, ids, text) => this.#events.onToken({ record, ids, text }),
      onProgress: (done, total) => this.#progress(call, 'generate', done, total),
      cancelled: () => this.calls.cancelled(call),
    });
    const kept = this.#keptBy(name);
    for (const [i, { record, promptIds, ids, logprobs }] of generations.entries()) {
      if (requests[i].keep) kept.set(record, { promptIds, ids, logprobs });
    }
    return generations;
  }

  async update(
    name: string,
    settled: readonly SettledRecord[],
    settings: Parameters<EngineApi['update']>[2],
    step: number,
    call?: string,
  ): ReturnType<EngineApi['update']> {
    const policy = this.policy(name);
    const kept = this.#keptBy(name);
    const missing = settled.find(({ record }) => !kept.has(record));
    if (missing)
      throw new UserError(
        `The policy ${name} keeps no record ${missing.record}; generate it with keep, and update with each record once`,
      );
    const records = settled.map((one) => ({ ...one, ...kept.get(one.record)! }));
    for (const { record } of settled) kept.delete(record);
    const fitted = this.#fitted(policy, settings, records);
    const report = await updatePolicy(policy, records, fitted, step, this.learnHooks(call));
    return { ...report, notes: [...this.#fitNotes(settings, fitted), ...report.notes] };
  }

  async sft(
    name: string,
    examples: readonly SftExample[],
    settings: SftSettings,
    step: number,
    call?: string,
  ): Promise<SftReport> {
    const policy = this.policy(name);
    const sequences = examples.map((example) => encodeExample(policy.base, example));
    const fitted = this.#fitted(policy, settings, sequences);
    const report = await fineTune(policy, sequences, fitted, step, this.learnHooks(call));
    return { ...report, notes: [...this.#fitNotes(settings, fitted), ...report.notes] };
  }

  forget(name: string, records?: readonly string[]): void {
    const kept = this.#keptBy(name);
    if (!records) kept.clear();
    else for (const record of records) kept.delete(record);
  }

  learnHooks(call?: string): {
    onProgress(phase: string, done: number, total: number): void;
    cancelled(): boolean;
    yieldToEvents(): Promise<void>;
  } {
    return {
      onProgress: (phase, done, total) => this.#progress(call, phase, done, total),
      cancelled: () => this.calls.cancelled(call),
      yieldToEvents: () => this.pause(),
    };
  }

  memory(): MemoryReport {
    const used = this.#measure();
    const parts: Record<string, number> = {};
    for (const base of this.#models.values()) parts[`model ${base.name}`] = base.bytes;
    for (const policy of this.#policies.values()) parts[`policy ${policy.spec.policy}`] = policy.bytes;
    const known = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
    parts['caches and temporaries'] = Math.max(0, used - known);
    return { usedBytes: used, peakBytes: this.#peakBytes, parts };
  }

  device(): Device {
    if (!this.#device) throw new UserError('No device is open; open one first');
    return this.#device;
  }

  model(name: string): BaseModel {
    const base = this.#models.get(name);
    if (!base) throw new UserError(`No model named ${name} is loaded; load it first`);
    return base;
  }

  policy(name: string): BasePolicy {
    const policy = this.#policies.get(name);
    if (!policy) throw new UserError(`There is no policy named ${name}; create it first`);
    return policy;
  }

  /** Settings whose micro-batches fit beside what the models and policies hold; only WebAssembly has so low a ceiling. */
  #fitted<S extends { readonly tokenBudget: number }>(
    policy: BasePolicy,
    settings: S,
    sequences: readonly { readonly promptIds: ArrayLike<number>; readonly ids: ArrayLike<number> }[],
  ): S {
    if (this.device().info.kind !== 'wasm') return settings;
    const weights = [...this.#models.values()].reduce((sum, base) => sum + base.bytes, 0);
    const trained = [...this.#policies.values()].reduce((sum, one) => sum + (one.trainable?.size ?? 0) * 4, 0);
    const gradient = (policy.trainable?.size ?? 0) * 4;
    const longest = sequences.reduce((most, { promptIds, ids }) => Math.max(most, promptIds.length + ids.length), 1);
    return {
      ...settings,
      tokenBudget: Math.min(
        settings.tokenBudget,
        Math.max(longest, tokensThatFit(policy.base.config, weights + trained + gradient, longest)),
      ),
    };
  }

  #fitNotes(wanted: { tokenBudget: number }, fitted: { tokenBudget: number }): string[] {
    return fitted.tokenBudget < wanted.tokenBudget
      ? [
          `micro-batches of ${fitted.tokenBudget.toLocaleString('en-US')} tokens instead of ${wanted.tokenBudget.toLocaleString('en-US')}: what fits into WebAssembly memory`,
        ]
      : [];
  }

  /** Lets messages run, and looks at memory on the way. */
  async pause(): Promise<void> {
    this.#measure();
    await this.device().yieldToEvents();
  }

  async close(): Promise<void> {
    for (const policy of this.#policies.values()) policy.dispose();
    for (const base of this.#models.values()) base.dispose();
    const device = this.#device;
    this.#abandon();
    await device?.close();
  }

  /** Forgets everything on the device without touching it. */
  #abandon(): void {
    this.#policies.clear();
    this.#models.clear();
    this.#records.clear();
    this.#device = null;
  }

  #keptBy(name: string): Records {
    this.policy(name);
    const kept = this.#records.get(name) ?? new Map<string, KeptRecord>();
    this.#records.set(name, kept);
    return kept;
  }

  /** Bytes in use, tensors and optimiser states; remembers the most seen. */
  #measure(): number {
    if (!this.#device) return 0;
    const { usedBytes, reservedBytes } = this.#device.memory();
    const outside = [...this.#policies.values()].reduce(
      (sum, policy) => sum + policy.hostBytes - policy.borrowedBytes,
      0,
    );
    // WebAssembly memory never shrinks, so what it reserved is its own high-water mark.
    this.#peakBytes = Math.max(this.#peakBytes, reservedBytes + Math.max(0, outside), usedBytes + outside);
    return usedBytes + outside;
  }

  #progress(call: string | undefined, phase: string, done: number, total: number): void {
    if (call !== undefined) this.#events.onProgress({ call, phase, done, total });
  }
}

function checkUnique(records: readonly string[]): void {
  const seen = new Set<string>();
  for (const record of records) {
    if (seen.has(record)) throw new UserError(`Two requests share the record id ${record}; give each its own`);
    seen.add(record);
  }
}

function modelInfo(source: ModelSource): ModelInfo {
  const { config } = source;
  return {
    architecture: config.architecture,
    format: source.format,
    parameters: source.parameters,
    layers: config.layers,
    hidden: config.hidden,
    heads: config.heads,
    kvHeads: config.kvHeads,
    vocab: config.vocab,
    contextLength: config.contextLength,
    weightTypes: source.weightTypes,
    bytesOnDisk: source.bytesOnDisk,
    chatTemplate: source.hasChatTemplate,
    memory: estimateMemory(config, source.parameters),
  };
}
