/**
 * One door to a model's files. `openModel` decides whether they are a Hugging Face folder (safetensors, single or sharded)
 * or a GGUF file, reads the configuration, checks that every tensor it calls for is there in the right shape, and hands
 * out parameters one at a time by their Hugging Face names. Nothing is held but headers.
 */
import { UserError } from '../errors.ts';
import type { FileRef, FileSet, ModelInfo } from '../protocol.ts';
import type { ByteSource } from './bytes-source.ts';
import { parameterShapes, readConfig, type ModelConfig } from './config.ts';
import { openGguf } from './gguf.ts';
import { ggufName, readGgufConfig, readGgufParameter } from './gguf-config.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { isObject, readObject, show, type JsonObject } from './json.ts';
import { openSafetensors, readFloats, type SafetensorsFile } from './safetensors.ts';
import { openSource, readWhole } from './source.ts';
import { buildTokenizer, hasTemplate, type Tokenizer, type TokenizerParts } from './tokenizer.ts';

export type ModelSource = {
  readonly format: ModelInfo['format'];
  readonly config: ModelConfig;
  /** Stored types of the model's parameters, most bytes first. */
  readonly weightTypes: readonly string[];
  /** Of the weight files. */
  readonly bytesOnDisk: number;
  readonly parameters: number;
  readonly hasTokenizer: boolean;
  readonly hasChatTemplate: boolean;
  /** Hugging Face parameter names, in layer order; a tied lm_head is not among them. */
  readonly tensorNames: readonly string[];
  shape(name: string): readonly number[];
  /** One parameter as float32, row-major. // [elements] */
  readTensor(name: string): Promise<Float32Array>;
  /** Built on first call; a UserError where the files hold no tokenizer. */
  tokenizer(): Promise<Tokenizer>;
  /** config.json and generation_config.json as they were found; null for GGUF or where absent. */
  readonly configJson: JsonObject | null;
  readonly generationJson: JsonObject | null;
};

const CONFIG_MAX_BYTES = 4 * 2 ** 20;
const TOKENIZER_MAX_BYTES = 256 * 2 ** 20;
const INDEX = 'model.safetensors.index.json';
const SINGLE = 'model.safetensors';
const SHARDS_MAX = 1000;

/** Opens a model; every failure is a UserError that says what is wrong with which file. */
export async function openModel(files: FileSet): Promise<ModelSource> {
  if (has(files, SINGLE) || has(files, INDEX)) return openFolder(files);
  const ggufs = Object.keys(files).filter((name) => name.toLowerCase().endsWith('.gguf'));
  if (ggufs.length === 1) return openGgufModel(files, ggufs[0]);
  if (ggufs.length > 1)
    throw new UserError(
      `There are ${ggufs.length} GGUF files in the folder; choose one of them: ${ggufs.slice(0, 5).join(', ')}`,
    );
  if (has(files, 'adapter_config.json'))
    throw new UserError(
      'This folder holds a LoRA adapter, not a model; choose its base model and import the adapter into a policy',
    );
  throw new UserError(
    `No model was found among ${Object.keys(files).length} files; a model is a folder with config.json and model.safetensors, or one GGUF file`,
  );
}

const has = (files: FileSet, name: string): boolean => Object.hasOwn(files, name);

// ---- safetensors folders -------------------------------------------------------------------------------------

async function openFolder(files: FileSet): Promise<ModelSource> {
  if (!has(files, 'config.json'))
    throw new UserError(`The folder has weights and no config.json; download it again with all its files`);
  const configJson = await readObject(await openSource('config.json', files['config.json']), CONFIG_MAX_BYTES);
  const generationJson = await optionalObject(files, 'generation_config.json', CONFIG_MAX_BYTES);
  const config = readConfig(configJson, generationJson);
  const shards = has(files, SINGLE)
    ? [await openSafetensors(await openSource(SINGLE, files[SINGLE]))]
    : await openShards(files);
  const holders = new Map(shards.flatMap((shard) => [...shard.entries.keys()].map((name) => [name, shard] as const)));
  // A folder saved from the bare decoder leaves the leading "model." out.
  const stored = (name: string) => (holders.has(name) ? name : name.replace(/^model\./, ''));
  const shapes = parameterShapes(config);
  const types = new Map<string, number>();
  for (const [name, shape] of shapes) {
    const entry = holders.get(stored(name))?.entries.get(stored(name));
    checkShape(shards[0].source.name, name, shape, entry?.shape);
    if (!['F32', 'F16', 'BF16', 'F64'].includes(entry!.type))
      throw new UserError(
        `Parameter ${name} is stored as ${entry!.type}; take the original weights in F32, F16 or BF16`,
      );
    types.set(entry!.type, (types.get(entry!.type) ?? 0) + entry!.bytes);
  }
  const small = await tokenizerConfig(files);
  return {
    ...common(config, shapes, types),
    format: 'safetensors',
    bytesOnDisk: shards.reduce((sum, shard) => sum + shard.source.size, 0),
    hasTokenizer: has(files, 'tokenizer.json'),
    hasChatTemplate: hasTemplate(small.config, small.template),
    readTensor: async (name) => readFloats(holderOf(holders, stored(name), name), stored(name)),
    tokenizer: once(() => folderTokenizer(files, config)),
    configJson,
    generationJson,
  };
}

function holderOf(holders: ReadonlyMap<string, SafetensorsFile>, stored: string, name: string): SafetensorsFile {
  const holder = holders.get(stored);
  if (holder === undefined) throw new UserError(`The model has no parameter ${name}`);
  return holder;
}

async function openShards(files: FileSet): Promise<SafetensorsFile[]> {
  const map = (await readObject(await openSource(INDEX, files[INDEX]), TOKENIZER_MAX_BYTES))['weight_map'];
  if (!isObject(map)) throw new UserError(`${INDEX} has no weight_map; download it again`);
  const names = [...new Set(Object.values(map))];
  if (names.length === 0 || names.length > SHARDS_MAX)
    throw new UserError(`${INDEX} names ${names.length} files, 1 to ${SHARDS_MAX} are possible; download it again`);
  return Promise.all(
    names.map(async (name) => {
      if (typeof name !== 'string' || !has(files, name))
        throw new UserError(
          `The folder lacks a file that ${INDEX} names: ${show(name)}; download it again with all its files`,
        );
      return openSafetensors(await openSource(name, files[name]));
    }),
  );
}

// ---- GGUF ----------------------------------------------------------------------------------------------------

async function openGgufModel(files: FileSet, name: string): Promise<ModelSource> {
  if (/-\d{5}-of-\d{5}\.gguf$/i.test(name))
    throw new UserError(`${name} is one part of a split GGUF file; join the parts first (gguf-split --merge)`);
  const file = await openGguf(await openSource(name, files[name]));
  const config = await readGgufConfig(file);
  const shapes = parameterShapes(config);
  const types = new Map<string, number>();
  for (const [parameter, shape] of shapes) {
    const tensor = file.tensors.get(ggufName(parameter));
    checkShape(name, ggufName(parameter), shape, tensor?.shape);
    types.set(tensor!.type, (types.get(tensor!.type) ?? 0) + tensor!.bytes);
  }
  const beside = has(files, 'tokenizer.json');
  const small = beside ? await tokenizerConfig(files) : null;
  return {
    ...common(config, shapes, types),
    format: 'gguf',
    bytesOnDisk: file.source.size,
    hasTokenizer: beside || file.metadata.has('tokenizer.ggml.model'),
    hasChatTemplate: small
      ? hasTemplate(small.config, small.template)
      : typeof file.metadata.get('tokenizer.chat_template') === 'string',
    readTensor: (parameter) => {
      if (!shapes.has(parameter)) throw new UserError(`The model has no parameter ${parameter}`);
      return readGgufParameter(file, config, parameter);
    },
    tokenizer: once(async () =>
      beside
        ? folderTokenizer(files, config)
        : buildTokenizer({ ...ggufTokenizer(file), eosIds: config.eosIds, vocab: config.vocab }),
    ),
    configJson: null,
    generationJson: null,
  };
}

// ---- both ----------------------------------------------------------------------------------------------------

type Common = Pick<ModelSource, 'config' | 'weightTypes' | 'parameters' | 'tensorNames' | 'shape'>;

function common(
  config: ModelConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  types: ReadonlyMap<string, number>,
): Common {
  let parameters = 0;
  for (const shape of shapes.values()) parameters += shape.reduce((product, d) => product * d, 1);
  return {
    config,
    parameters,
    weightTypes: [...types].sort((a, b) => b[1] - a[1]).map(([type]) => type),
    tensorNames: [...shapes.keys()],
    shape: (name) => {
      const shape = shapes.get(name);
      if (shape === undefined) throw new UserError(`The model has no parameter ${name}`);
      return shape;
    },
  };
}

function checkShape(file: string, name: string, wanted: readonly number[], found: readonly number[] | undefined): void {
  if (found === undefined)
    throw new UserError(
      `${file} lacks the tensor ${name} that the configuration calls for; weights and configuration do not belong together`,
    );
  if (found.length !== wanted.length || wanted.some((d, i) => d !== found[i]))
    throw new UserError(
      `${file}: tensor ${name} has shape ${show(found)} and the configuration calls for ${show(wanted)}; weights and configuration do not belong together`,
    );
}

async function folderTokenizer(files: FileSet, config: ModelConfig): Promise<Tokenizer> {
  if (!has(files, 'tokenizer.json'))
    throw new UserError('The model has no tokenizer.json; download the folder again with all its files');
  const tokenizer = await readObject(await openSource('tokenizer.json', files['tokenizer.json']), TOKENIZER_MAX_BYTES);
  return buildTokenizer({ tokenizer, ...(await tokenizerConfig(files)), eosIds: config.eosIds, vocab: config.vocab });
}

async function tokenizerConfig(files: FileSet): Promise<Pick<TokenizerParts, 'config' | 'template'>> {
  const config = (await optionalObject(files, 'tokenizer_config.json', CONFIG_MAX_BYTES)) ?? {};
  const source = await optional(files, 'chat_template.jinja');
  return source === null
    ? { config }
    : { config, template: new TextDecoder().decode(await readWhole(source, CONFIG_MAX_BYTES)) };
}

async function optionalObject(files: FileSet, name: string, maxBytes: number): Promise<JsonObject | null> {
  const source = await optional(files, name);
  return source === null ? null : readObject(source, maxBytes);
}

async function optional(files: FileSet, name: string): Promise<ByteSource | null> {
  const ref: FileRef | undefined = has(files, name) ? files[name] : undefined;
  return ref === undefined ? null : openSource(name, ref);
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => (made ??= make());
}
