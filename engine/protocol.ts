/**
 * The messages an engine answers: types only, the one contract between the engine and everything above it.
 * Text, ids and scalars cross it; token tensors stay in the engine, keyed by record id, until an update consumes them.
 * Times are milliseconds, sizes bytes, log-probabilities natural logarithms.
 */

// ---- devices -------------------------------------------------------------------------------------------------

export type DeviceKind = 'webgpu' | 'wasm' | 'cpu';
export type DeviceChoice = DeviceKind | 'auto';

export type DeviceInfo = {
  readonly kind: DeviceKind;
  /** The adapter's own name, or what runs on the CPU ("WebAssembly SIMD, 2 threads"). */
  readonly name: string;
  /** True where a WebGPU adapter is emulated on the CPU (SwiftShader, llvmpipe). */
  readonly software: boolean;
  readonly threads: number;
  readonly features: readonly string[];
  readonly maxBufferBytes: number | null;
  /** Why this device was taken, one sentence. */
  readonly reason: string;
};

export type DeviceReport = {
  readonly kind: DeviceKind;
  readonly available: boolean;
  readonly name: string;
  readonly software: boolean;
  readonly features: readonly string[];
  readonly maxBufferBytes: number | null;
  /** Measured matrix-multiply rate, where the probe has run. */
  readonly gflops: number | null;
  /** Measured rate of copying its own memory, 1e9 bytes a second, read and written ones both counted. */
  readonly gigabytesPerSecond: number | null;
  /** One sentence: why it is not available, or what was measured. */
  readonly note: string;
};

// ---- models --------------------------------------------------------------------------------------------------

/** Where bytes are. Paths exist only where the engine runs under Node. */
export type FileRef =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'blob'; readonly blob: Blob }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** A model or adapter folder: file name -> where its bytes are. A GGUF model is one entry ending in .gguf. */
export type FileSet = Readonly<Record<string, FileRef>>;

/** A file the engine hands out. */
export type FileOut = { readonly name: string; readonly bytes: Uint8Array };

export type Architecture = 'llama' | 'qwen2' | 'qwen3';

export type ModelInfo = {
  readonly architecture: Architecture;
  readonly format: 'safetensors' | 'gguf';
  readonly parameters: number;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  readonly contextLength: number;
  /** Stored types of the weights, e.g. ["F16"] or ["Q4_1", "F32"]. */
  readonly weightTypes: readonly string[];
  readonly bytesOnDisk: number;
  readonly chatTemplate: boolean;
  /** Bytes held to run it, and to train it fully or with a rank-16 adapter on all layers (4,096 tokens a micro-batch). */
  readonly memory: { readonly run: number; readonly trainFull: number; readonly trainLora: number };
};

// ---- policies ------------------------------------------------------------------------------------------------

export type TrainMethod =
  | { readonly kind: 'full' }
  | {
      readonly kind: 'lora';
      readonly rank: number;
      readonly alpha: number;
      /** Linear layers by their Hugging Face name (q_proj … down_proj). */
      readonly targets: readonly string[];
      /** Layer numbers; all when absent. */
      readonly layers?: readonly number[];
    };

/** How exact the copy of the weights is that tokens are sampled with; training always takes the float32 ones. */
export type WeightPrecision = 'f32' | 'f16' | 'q8' | 'q4';

/** How exact the keys and values are that sampling keeps. */
export type KeyPrecision = 'f32' | 'f16';

/** How exact what flows between the kernels of sampling and learning is. */
export type ActivationPrecision = 'f32' | 'f16';

export type PolicySpec = {
  readonly policy: string;
  readonly model: string;
  readonly method: TrainMethod;
  /** A frozen policy acts and is never updated; it holds no trainable weights. */
  readonly frozen: boolean;
  readonly seed: number;
  /** 'f32' when absent. Others need a device with hand-written kernels. */
  readonly rollout?: WeightPrecision;
  /** When absent 'f32' beside such weights, else 'f16', which needs a device with hand-written kernels. */
  readonly keys?: KeyPrecision;
  /** 'f32' when absent. 'f16' needs, besides, a device that computes with half floats. */
  readonly activations?: ActivationPrecision;
};

export type PolicyInfo = {
  readonly policy: string;
  readonly model: string;
  readonly trainable: number;
  readonly bytes: number;
};

// ---- generation ----------------------------------------------------------------------------------------------

export type ChatMessage = { readonly role: 'system' | 'user' | 'assistant'; readonly content: string };

export type Prompt =
  { readonly messages: readonly ChatMessage[] } | { readonly text: string } | { readonly ids: readonly number[] };

export type Sampling = {
  /** 0 is greedy. */
  readonly temperature: number;
  /** 0 keeps every token. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly maxTokens: number;
  readonly stop: readonly string[];
  /** 32 bits; with the token's position it decides the sample, whatever else is in the batch. */
  readonly seed: number;
};

export type GenerateRequest = {
  readonly record: string;
  readonly prompt: Prompt;
  readonly sampling: Sampling;
  /** Keep the tokens under `record` for a later `update`. */
  readonly keep: boolean;
};

export type FinishReason = 'stop' | 'stop-string' | 'length' | 'context' | 'cancelled';

export type Generation = {
  readonly record: string;
  readonly promptIds: readonly number[];
  /** Sampled ids, the end token included where one was sampled. */
  readonly ids: readonly number[];
  /** Each id's own text, for display; joined they need not equal `text`. */
  readonly pieces: readonly string[];
  /** Decoded without the end token; cut before a stop string. */
  readonly text: string;
  /** Of the distribution the token was drawn from at temperature 1 without truncation: the policy's own. */
  readonly logprobs: readonly number[];
  readonly entropy: readonly number[];
  readonly finish: FinishReason;
};

/** A token that could have stood in a place, and its log-prob there. */
export type Alternative = { readonly id: number; readonly piece: string; readonly logprob: number };
/** `top`: for every token the likeliest of the whole vocabulary, best first, where they were asked for. */
export type Scored = {
  readonly logprobs: readonly number[];
  readonly entropy: readonly number[];
  readonly top?: readonly (readonly Alternative[])[];
};

// ---- learning ------------------------------------------------------------------------------------------------

export type WhitenScope = 'policy' | 'role' | 'role+turn' | 'none';
export type Estimator = 'gae' | 'grpo' | 'dr-grpo' | 'rloo' | 'reinforce';
/** Who is compared with whom by a group estimator: a question's records all together, of one role, of one role at one turn, or those that answer the very same prompt. */
export type GroupScope = 'query' | 'role' | 'role+turn' | 'prefix';
export type Aggregation = 'token-mean' | 'seq-mean-token-mean' | 'seq-mean-token-sum';

/** Everything one PPO update may vary. Defaults and their sources stand in learn/settings.ts. */
export type PpoSettings = {
  readonly estimator: Estimator;
  readonly group: GroupScope;
  readonly gamma: number;
  readonly lambda: number;
  readonly whiten: WhitenScope;
  readonly clip: number;
  readonly dualClip: number;
  readonly aggregation: Aggregation;
  readonly entropyCoef: number;
  readonly kl: { readonly kind: 'k1' | 'k2' | 'k3'; readonly place: 'none' | 'reward' | 'loss'; readonly coef: number };
  readonly valueClip: number;
  readonly valueCoef: number;
  /** Whether the value loss also moves the trunk, or the value head alone. */
  readonly valueGradient: 'trunk' | 'head';
  /** Steps at the start that train the value head alone. */
  readonly criticWarmup: number;
  readonly lr: number;
  readonly criticLr: number;
  readonly lrWarmup: number;
  /** 'linear' falls to zero over `totalSteps`. */
  readonly lrDecay: 'constant' | 'linear';
  readonly totalSteps: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly epochs: number;
  readonly miniBatches: number;
  /** Most prompt and response tokens in one micro-batch; halved, and said so, when memory runs out. */
  readonly tokenBudget: number;
  /** 'recompute' runs the trainer over the records once before the update; 'behaviour' takes the sampler's own numbers. */
  readonly oldLogprobs: 'recompute' | 'behaviour';
  /** Truncated importance weights min(pi_old / mu, C); 0 is off. */
  readonly importanceCap: number;
  /** Every so many steps, each role's own gradient on its policy; 0 never. */
  readonly roleGradients: number;
};

/** A reward the controller has settled for one kept record. */
export type SettledRecord = {
  readonly record: string;
  readonly reward: number;
  readonly role: string;
  readonly turn: number;
  /** Which of several calls side by side it is, at a node that asks its role more than once at a visit. */
  readonly copy?: number;
  /** What its samples have in common: the query. The setting `group` says who within it is compared. */
  readonly group: string;
};

/** Per-token numbers of one record as the update saw them, all of the response's length. */
export type TokenArrays = {
  readonly record: string;
  readonly oldLogprobs: Float32Array;
  /** In the last pass of the update over this record, before the step that followed: their distance to the old is PPO's ratio. */
  readonly newLogprobs: Float32Array;
  readonly values: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
};

export type UpdateReport = {
  /** cleanrl's names: losses/policy, losses/value, losses/approx_kl, losses/clipfrac, losses/entropy, losses/explained_variance, grad_norm, lr, rollout/logprob_gap … */
  readonly metrics: Readonly<Record<string, number>>;
  /** The same names, for the records of one role. */
  readonly roles: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly tokens: readonly TokenArrays[];
  readonly trainedTokens: number;
  /** Sentences for the person: "micro-batch halved to 1,024 tokens: out of memory". */
  readonly notes: readonly string[];
  readonly timing: { readonly oldLogprobsMs: number; readonly updateMs: number };
};

export type SftExample = { readonly prompt: Prompt; readonly response: string; readonly role: string };
export type SftSettings = {
  readonly lr: number;
  readonly lrWarmup: number;
  readonly lrDecay: 'constant' | 'linear';
  readonly totalSteps: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly tokenBudget: number;
};
export type SftReport = {
  readonly loss: number;
  readonly roles: Readonly<Record<string, { readonly loss: number; readonly tokens: number }>>;
  readonly trainedTokens: number;
  readonly gradNorm: number;
  /** What gradients were multiplied by on their way, where they passed through half floats. */
  readonly lossScale?: number;
  readonly notes: readonly string[];
};

export type MemoryReport = {
  readonly usedBytes: number;
  readonly peakBytes: number;
  readonly parts: Readonly<Record<string, number>>;
};

/** What a run will ask of the device. */
export type MemoryLoad = {
  /** Every policy's method; null for a frozen one. */
  readonly policies: readonly (TrainMethod | null)[];
  readonly rollout: WeightPrecision;
  readonly keys?: KeyPrecision;
  /** Of all policies that learn; 'f32' when absent. */
  readonly activations?: ActivationPrecision;
  /** Most sequences sampled at once, and positions of the longest. */
  readonly sequences: number;
  readonly positions: number;
  readonly tokenBudget: number;
  /** What it may take. */
  readonly mostBytes: number;
};

/** Known before anything is loaded; an upper bound. */
export type MemoryPlan = {
  /** Bytes by part, while sampling and, where a policy learns, while training. */
  readonly parts: {
    readonly rollout: Readonly<Record<string, number>>;
    readonly training?: Readonly<Record<string, number>>;
  };
  readonly peakBytes: number;
  /** The largest micro-batch, in tokens, with which it all fits; null where none does. */
  readonly tokenBudget: number | null;
};

/** How products were measured to run fastest: by adapter, then by product. Whoever keeps them need not know more. */
export type Tunings = Readonly<Record<string, Readonly<Record<string, string>>>>;

// ---- the engine ----------------------------------------------------------------------------------------------

/** What a client may call. Every call rejects with a `UserError` sentence for bad input. Long ones take a `call` id that `cancel` ends. */
export type EngineApi = {
  /**
   * Opens the device; once per engine. `remembered` is an earlier probe's result for `auto`. With `tunings`, what was told of
   * before, a GPU is tuned to each model that is sampled; without, it runs as it is cut by default.
   */
  open(choice: DeviceChoice, remembered?: DeviceKind, tunings?: Tunings): Promise<DeviceInfo>;
  /** Every device this place could open, with a short measurement where `measure` is set. */
  devices(measure: boolean): Promise<DeviceReport[]>;

  inspect(files: FileSet): Promise<ModelInfo>;
  /** Null where the device or the model has no hand-written kernels: then nothing is planned. */
  plan(files: FileSet, load: MemoryLoad): Promise<MemoryPlan | null>;
  loadModel(model: string, files: FileSet, call?: string): Promise<ModelInfo>;
  unloadModel(model: string): Promise<void>;

  createPolicy(spec: PolicySpec): Promise<PolicyInfo>;
  dropPolicy(policy: string): Promise<void>;
  /** A checkpoint holds trainable weights, value head, optimiser moments and step. */
  exportPolicy(policy: string, what: 'checkpoint' | 'peft' | 'merged', call?: string): Promise<FileOut[]>;
  /** Takes a checkpoint of ours, or a PEFT adapter folder. */
  importPolicy(policy: string, files: FileSet): Promise<void>;

  /** Ids of a prompt under the policy's tokenizer and chat template. */
  encode(model: string, prompt: Prompt): Promise<number[]>;
  generate(policy: string, requests: readonly GenerateRequest[], call?: string): Promise<Generation[]>;
  /** Log-probs and entropies of given responses, and with `top` so many of the likeliest tokens in each place. */
  score(
    policy: string,
    items: readonly { promptIds: readonly number[]; ids: readonly number[] }[],
    top?: number,
  ): Promise<Scored[]>;

  /** One PPO update from kept records; those named are consumed, whatever the outcome. `step` counts from 0. */
  update(
    policy: string,
    records: readonly SettledRecord[],
    settings: PpoSettings,
    step: number,
    call?: string,
  ): Promise<UpdateReport>;
  /** Forget kept records (a dropped query's, or all). */
  forget(policy: string, records?: readonly string[]): Promise<void>;
  /** One optimiser step of supervised fine-tuning on the responses alone. */
  sft(
    policy: string,
    examples: readonly SftExample[],
    settings: SftSettings,
    step: number,
    call?: string,
  ): Promise<SftReport>;

  memory(): Promise<MemoryReport>;
  cancel(call: string): Promise<void>;
  close(): Promise<void>;
};

/** What an engine tells its client. */
export type EngineEvents = {
  /** Newly sampled text of one record. */
  onToken(event: { record: string; ids: readonly number[]; text: string }): void;
  onProgress(event: { call: string; phase: string; done: number; total: number }): void;
  /** The device went away; the engine must be opened again and its models loaded again. */
  onDeviceLost(event: { reason: string }): void;
  /** Something was measured; these are to be kept, and handed in when the device is opened again. */
  onTuned(event: { tunings: Tunings }): void;
};
