/**
 * PEFT LoRA adapter folders: adapter_config.json and adapter_model.safetensors. A linear layer's addition is
 * scale * B A x with A [rank, in] and B [out, rank]; layers are named as in the base model
 * ("model.layers.3.self_attn.q_proj"). What our LoRA cannot express is refused in one sentence, never half read.
 * Source: Hu et al. 2021, "LoRA", and the file names of Hugging Face PEFT.
 */
import { UserError } from '../errors.ts';
import type { FileOut, FileSet } from '../protocol.ts';
import { parameterShapes, type ModelConfig } from './config.ts';
import { readObject, realNumber, show, truth, wholeNumber, type JsonObject } from './json.ts';
import { openSafetensors, readFloats, type SafetensorsFile } from './safetensors.ts';
import { writeSafetensors, type TensorOut } from './safetensors-write.ts';
import { openSource } from './source.ts';

/** a: [rank, in], b: [out, rank], both row-major. */
export type LoraPair = { readonly a: Float32Array; readonly b: Float32Array };

export type LoraFiles = {
  readonly rank: number;
  readonly alpha: number;
  /** What multiplies B A x: alpha / rank, or alpha / sqrt(rank) for rank-stabilised adapters. */
  readonly scale: number;
  /** q_proj … down_proj, as far as the adapter has them. */
  readonly targets: readonly string[];
  /** Layer numbers it stands on, ascending. */
  readonly layers: readonly number[];
  readonly pairs: ReadonlyMap<string, LoraPair>;
};

/** Linear layers an adapter may stand on, in their order within a layer. */
export const LINEAR_LAYERS = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.o_proj',
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
] as const;

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const CONFIG_MAX_BYTES = 4 * 2 ** 20;

/** Variants of LoRA that change what is computed; each is only named when in use. */
const VARIANTS: Readonly<Record<string, string>> = {
  use_dora: 'DoRA',
  use_qalora: 'QALoRA',
  use_bdlora: 'block-diagonal LoRA',
  lora_bias: 'LoRA biases',
  fan_in_fan_out: 'transposed weights',
  layer_replication: 'layer replication',
  modules_to_save: 'fully trained modules',
  target_parameters: 'adapters on bare parameters',
  trainable_token_indices: 'trained token embeddings',
  rank_pattern: 'ranks that differ by layer',
  alpha_pattern: 'alphas that differ by layer',
  alora_invocation_tokens: 'activated LoRA',
  arrow_config: 'Arrow routing',
  kasa_config: 'KaSA',
  monteclora_config: 'MonteCLoRA',
  velora_config: 'VeLoRA',
};

/** Initialisations that leave the base weights as they are. */
const PLAIN_INITS: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'orthogonal', 'eva'];

/** Reads an adapter for a model of this shape; every tensor is checked against it. */
export async function readPeft(files: FileSet, config: ModelConfig): Promise<LoraFiles> {
  if (!Object.hasOwn(files, CONFIG)) throw new UserError(`No ${CONFIG} was found; choose a PEFT adapter folder`);
  const json = await readObject(await openSource(CONFIG, files[CONFIG]), CONFIG_MAX_BYTES);
  refuseVariants(json);
  if (!Object.hasOwn(files, WEIGHTS))
    throw new UserError(`The adapter folder has no ${WEIGHTS}; save the adapter again with safetensors`);
  const rank = wholeNumber(CONFIG, json, 'r', 1, 65_536);
  const alpha = realNumber(CONFIG, json, 'lora_alpha', 0, 1e9, 8);
  const scale = alpha / (truth(CONFIG, json, 'use_rslora', false) ? Math.sqrt(rank) : rank);
  const file = await openSafetensors(await openSource(WEIGHTS, files[WEIGHTS]));
  const modules = readModules(file, config, rank);
  const pairs = new Map<string, LoraPair>();
  for (const [module, names] of modules)
    pairs.set(module, { a: await readFloats(file, names.a), b: await readFloats(file, names.b) });
  const layers = [...new Set([...modules.keys()].map(layerOf))].sort((x, y) => x - y);
  const targets = LINEAR_LAYERS.filter((linear) => [...modules.keys()].some((module) => module.endsWith(linear))).map(
    (linear) => linear.split('.')[1],
  );
  return { rank, alpha, scale, targets, layers, pairs };
}

function refuseVariants(json: JsonObject): void {
  if (json['peft_type'] !== 'LORA')
    throw new UserError(`Adapters of type ${show(json['peft_type'])} are not supported; only LoRA is`);
  if ((json['bias'] ?? 'none') !== 'none')
    throw new UserError(
      `Adapters that train biases are not supported: bias is ${show(json['bias'])}; train one with bias "none"`,
    );
  for (const [field, what] of Object.entries(VARIANTS)) {
    const value = json[field];
    const empty = value == null || value === false || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!empty)
      throw new UserError(
        `Adapters with ${what} are not supported: ${field} is ${show(value)}; merge it into its base model first`,
      );
  }
  if (!PLAIN_INITS.includes(json['init_lora_weights']))
    throw new UserError(
      `Adapters that change their base weights are not supported: init_lora_weights is ${show(json['init_lora_weights'])}; convert it to a plain LoRA first`,
    );
}

type PairNames = { a: string; b: string };

/** Pairs the tensors up by linear layer and checks their shapes against the model's. */
function readModules(file: SafetensorsFile, config: ModelConfig, rank: number): Map<string, PairNames> {
  const shapes = parameterShapes(config);
  const found = new Map<string, Partial<PairNames>>();
  for (const name of file.entries.keys()) {
    const match = /^base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight$/.exec(name);
    const linear =
      match && LINEAR_LAYERS.some((layer) => match[1].endsWith(`.${layer}`)) && shapes.has(`${match[1]}.weight`);
    if (!linear)
      throw new UserError(
        `The adapter has a tensor that the model has no place for: ${show(name)}; choose an adapter made for this model's linear layers`,
      );
    const pair = found.get(match[1]) ?? {};
    found.set(match[1], match[2] === 'A' ? { ...pair, a: name } : { ...pair, b: name });
  }
  if (found.size === 0) throw new UserError(`${WEIGHTS} holds no adapter weights; save the adapter again`);
  const whole = new Map<string, PairNames>();
  for (const [module, { a, b }] of found) {
    if (a === undefined || b === undefined)
      throw new UserError(`The adapter has only one of A and B for ${module}; save it again`);
    const [outputs, inputs] = shapes.get(`${module}.weight`)!;
    checkPair(file, module, a, [rank, inputs]);
    checkPair(file, module, b, [outputs, rank]);
    whole.set(module, { a, b });
  }
  return whole;
}

function checkPair(file: SafetensorsFile, module: string, name: string, wanted: readonly number[]): void {
  const { shape } = file.entries.get(name)!;
  if (shape.length !== 2 || shape.some((d, i) => d !== wanted[i]))
    throw new UserError(
      `The adapter does not fit the model: ${module} needs ${show(wanted)} and the adapter has ${show(shape)}; choose one trained on this model`,
    );
}

const layerOf = (module: string): number => Number(/^model\.layers\.(\d+)\./.exec(module)![1]);

/** An adapter folder that PEFT loads: pairs by linear layer, all of one rank, scaled by alpha / rank. */
export function writePeft(
  adapter: Pick<LoraFiles, 'rank' | 'alpha' | 'pairs'>,
  config: ModelConfig,
  base: string,
): FileOut[] {
  const modules = [...adapter.pairs.keys()];
  const layers = [...new Set(modules.map(layerOf))].sort((x, y) => x - y);
  const json = {
    ...{ peft_type: 'LORA', task_type: 'CAUSAL_LM', base_model_name_or_path: base, inference_mode: true },
    ...{
      r: adapter.rank,
      lora_alpha: adapter.alpha,
      lora_dropout: 0,
      use_rslora: false,
      use_dora: false,
      bias: 'none',
      fan_in_fan_out: false,
    },
    target_modules: [...new Set(modules.map((module) => module.slice(module.lastIndexOf('.') + 1)))],
    layers_to_transform: layers.length === config.layers ? null : layers,
    ...{ init_lora_weights: true, modules_to_save: null, rank_pattern: {}, alpha_pattern: {} },
  };
  const tensors = [...adapter.pairs].flatMap(([module, { a, b }]): TensorOut[] => [
    { name: `base_model.model.${module}.lora_A.weight`, shape: [adapter.rank, a.length / adapter.rank], data: a },
    { name: `base_model.model.${module}.lora_B.weight`, shape: [b.length / adapter.rank, adapter.rank], data: b },
  ]);
  return [
    { name: CONFIG, bytes: new TextEncoder().encode(JSON.stringify(json, null, 2)) },
    { name: WEIGHTS, bytes: writeSafetensors(tensors) },
  ];
}
