/**
 * A policy to files and back. A checkpoint holds the trainable weights in a form others read too (a PEFT adapter folder, or
 * model.safetensors), the value head, the optimiser's moments and a small state.json; a merged export is a whole Hugging
 * Face model. Reading checks every name, shape and number against the policy before anything is changed.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { isObject, readObject, show, type JsonObject } from '../formats/json.ts';
import { writeMerged } from '../formats/merged.ts';
import { readPeft, writePeft, type LoraPair } from '../formats/peft.ts';
import { entryOf, openSafetensors, readFloats, type SafetensorsFile } from '../formats/safetensors.ts';
import { writeSafetensors, type TensorOut } from '../formats/safetensors-write.ts';
import { openSource } from '../formats/source.ts';
import { hostView } from '../learn/host.ts';
import { newLossScale, readLossScale, type LossScale } from '../learn/loss-scale.ts';
import { disposeMoments, readMoments, restoreMoments, type SavedMoments } from '../learn/moments.ts';
import type { FileOut, FileSet } from '../protocol.ts';
import { loraLinears } from './layout.ts';
import type { BasePolicy } from './make-policy.ts';
import type { Segment, Trainable } from './policy.ts';

const STATE = 'state.json';
const VALUE_HEAD = 'value_head.safetensors';
const OPTIMIZER = 'optimizer.safetensors';
const MODEL = 'model.safetensors';
const ADAPTER_CONFIG = 'adapter_config.json';
const STATE_MAX_BYTES = 1_000_000;
const VERSION = 1;

export type ExportKind = 'checkpoint' | 'peft' | 'merged';

export async function exportPolicy(policy: BasePolicy, what: ExportKind): Promise<FileOut[]> {
  switch (what) {
    case 'checkpoint':
      return writeCheckpoint(policy);
    case 'peft':
      return adapterFiles(policy, await flatView(trainableOf(policy)));
    case 'merged':
      return writeMerged(policy.base.source, (name) => mergedWeight(policy, name));
    default:
      throw new UserError(
        `A policy cannot be exported as "${String(what satisfies never)}"; choose checkpoint, peft or merged`,
      );
  }
}

/** Takes a checkpoint of ours or a PEFT adapter folder into the policy; on failure the policy is as it was. */
export async function importPolicy(policy: BasePolicy, files: FileSet): Promise<void> {
  const trainable = trainableOf(policy);
  const values = await flatNumbers(trainable);
  const saved = Object.hasOwn(files, STATE) ? await readCheckpoint(policy, files, values) : null;
  if (!saved) await readAdapter(policy, files, values);
  const flat = tf.tensor1d(values);
  trainable.flat.assign(flat);
  flat.dispose();
  policy.changed();
  if (policy.moments) disposeMoments(policy.moments);
  policy.moments = saved?.moments ? restoreMoments(saved.moments, trainable.size) : null;
  if (policy.lossScale) policy.lossScale = saved?.lossScale ?? newLossScale();
}

function trainableOf(policy: BasePolicy): Trainable {
  if (!policy.trainable)
    throw new UserError(
      `The policy ${policy.spec.policy} is frozen and has no weights of its own to save or load; create it unfrozen`,
    );
  return policy.trainable;
}

/** A copy of the flat variable on the host. // [size] */
async function flatNumbers(trainable: Trainable): Promise<Float32Array> {
  return (await flatView(trainable)).slice();
}

/** The same without a copy where there is none to make: to be read at once, before any tensor is made. */
async function flatView({ flat }: Trainable): Promise<Float32Array> {
  return hostView(flat) ?? ((await flat.data()) as Float32Array);
}

const cut = (values: Float32Array, segment: Segment): Float32Array =>
  values.subarray(segment.offset, segment.offset + segment.size);

// ---- writing -------------------------------------------------------------------------------------------------

async function writeCheckpoint(policy: BasePolicy): Promise<FileOut[]> {
  const trainable = trainableOf(policy);
  const values = await flatView(trainable);
  const part = (name: Segment['part']): TensorOut[] =>
    trainable.layout
      .filter((segment) => segment.part === name)
      .map((segment) => ({ name: segment.name, shape: segment.shape, data: cut(values, segment) }));
  const weights =
    policy.spec.method.kind === 'full'
      ? [{ name: MODEL, bytes: writeSafetensors(part('trunk')) }]
      : adapterFiles(policy, values);
  const files = [...weights, { name: VALUE_HEAD, bytes: writeSafetensors(part('value')) }];
  const state: JsonObject = {
    version: VERSION,
    method: policy.spec.method,
    parameters: trainable.size,
    steps: policy.moments?.steps ?? null,
    ...(policy.lossScale ? { lossScale: { ...policy.lossScale } } : {}),
  };
  if (policy.moments) {
    const { m, v } = await readMoments(policy.moments);
    const shape = [trainable.size];
    files.push({ name: OPTIMIZER, bytes: writeSafetensors([{ name: 'm', shape, data: m }, { name: 'v', shape, data: v }]) }); // prettier-ignore
  }
  return [...files, { name: STATE, bytes: new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`) }];
}

function adapterFiles(policy: BasePolicy, values: Float32Array): FileOut[] {
  const { method } = policy.spec;
  if (method.kind !== 'lora')
    throw new UserError(
      `The policy ${policy.spec.policy} was fine-tuned fully and has no adapter; export it as a merged model`,
    );
  const segments = new Map(trainableOf(policy).layout.map((segment) => [segment.name, segment]));
  const pairs = new Map<string, LoraPair>();
  for (const linear of loraLinears(method, policy.base.config))
    pairs.set(linear, {
      a: cut(values, segments.get(`${linear}.lora_A`)!),
      b: cut(values, segments.get(`${linear}.lora_B`)!),
    });
  return writePeft({ rank: method.rank, alpha: method.alpha, pairs }, policy.base.config, policy.base.name);
}

/** One weight with the adapter's share added, W + scale · B A. */
async function mergedWeight(policy: BasePolicy, name: string): Promise<Float32Array> {
  const { weights, adapter } = policy.using();
  const low = adapter?.layers[name.replace(/\.weight$/, '')];
  const merged = tf.tidy(() =>
    low ? tf.add(weights[name], tf.mul(tf.matMul(low.b, low.a), adapter!.scale)) : tf.clone(weights[name]),
  );
  const values = Float32Array.from(await merged.data());
  merged.dispose();
  return values;
}

// ---- reading -------------------------------------------------------------------------------------------------

/** Fills `values` from a checkpoint's files; returns what else it holds. */
async function readCheckpoint(
  policy: BasePolicy,
  files: FileSet,
  values: Float32Array,
): Promise<{ moments: SavedMoments | null; lossScale: LossScale | null }> {
  const trainable = trainableOf(policy);
  const state = await readObject(await openSource(STATE, files[STATE]), STATE_MAX_BYTES);
  if (state['version'] !== VERSION)
    throw new UserError(
      `The checkpoint's version is ${show(state['version'])} and version ${VERSION} is read; save it again with this program`,
    );
  checkMethod(policy, state['method']);
  if (policy.spec.method.kind === 'full') await readSegments(files, MODEL, trainable, 'trunk', values);
  else await readAdapter(policy, files, values);
  await readSegments(files, VALUE_HEAD, trainable, 'value', values);
  const lossScale = state['lossScale'] === undefined ? null : readLossScale(state['lossScale']);
  if (state['steps'] === null || state['steps'] === undefined) return { moments: null, lossScale };
  return { moments: await readOptimizer(files, trainable, state['steps']), lossScale };
}

function checkMethod(policy: BasePolicy, saved: unknown): void {
  const kind = isObject(saved) ? saved['kind'] : null;
  const { method } = policy.spec;
  if (kind !== method.kind)
    throw new UserError(
      `The checkpoint was trained with method ${show(kind)} and the policy ${policy.spec.policy} uses ${method.kind}; create the policy with the checkpoint's method`,
    );
  if (method.kind === 'lora' && isObject(saved) && saved['rank'] !== method.rank)
    throw new UserError(
      `The checkpoint's LoRA rank is ${show(saved['rank'])} and the policy's is ${method.rank}; create the policy with the checkpoint's rank`,
    );
}

async function openPart(files: FileSet, name: string): Promise<SafetensorsFile> {
  if (!Object.hasOwn(files, name))
    throw new UserError(`The checkpoint lacks ${name}; choose a whole checkpoint folder`);
  return openSafetensors(await openSource(name, files[name]));
}

async function readSegments(
  files: FileSet,
  file: string,
  trainable: Trainable,
  part: Segment['part'],
  values: Float32Array,
): Promise<void> {
  const opened = await openPart(files, file);
  for (const segment of trainable.layout.filter((one) => one.part === part)) {
    const { shape } = entryOf(opened, segment.name);
    if (shape.length !== segment.shape.length || shape.some((d, i) => d !== segment.shape[i]))
      throw new UserError(
        `${file}: ${segment.name} has shape ${show(shape)} and the policy needs ${show(segment.shape)}; choose a checkpoint of the same model`,
      );
    values.set(checked(file, segment.name, await readFloats(opened, segment.name)), segment.offset);
  }
}

async function readOptimizer(files: FileSet, trainable: Trainable, steps: unknown): Promise<SavedMoments> {
  if (!isObject(steps))
    throw new UserError(`The checkpoint's step counts are ${show(steps)}; choose another checkpoint`);
  const file = await openPart(files, OPTIMIZER);
  for (const name of ['m', 'v'])
    if (entryOf(file, name).elements !== trainable.size)
      throw new UserError(
        `${OPTIMIZER}: ${name} has ${entryOf(file, name).elements} numbers and the policy has ${trainable.size}; choose a checkpoint of the same model and method`,
      );
  const m = checked(OPTIMIZER, 'm', await readFloats(file, 'm'));
  const v = checked(OPTIMIZER, 'v', await readFloats(file, 'v'));
  return { m, v, steps: { trunk: steps['trunk'] as number, value: steps['value'] as number } };
}

/**
 * Fills `values` from a PEFT adapter. A lower rank, fewer layers and another alpha all fit: missing pairs are zero, and the
 * scale is folded into B. A higher rank or other layers do not.
 */
async function readAdapter(policy: BasePolicy, files: FileSet, values: Float32Array): Promise<void> {
  const { method } = policy.spec;
  if (!Object.hasOwn(files, ADAPTER_CONFIG))
    throw new UserError(`The folder is neither a checkpoint (${STATE}) nor a PEFT adapter (${ADAPTER_CONFIG})`);
  if (method.kind !== 'lora')
    throw new UserError(
      `The policy ${policy.spec.policy} is fully fine-tuned and cannot take an adapter; create it with LoRA`,
    );
  const adapter = await readPeft(files, policy.base.config);
  if (adapter.rank > method.rank)
    throw new UserError(
      `The adapter's rank is ${adapter.rank} and the policy's ${method.rank}; create the policy with rank ${adapter.rank}`,
    );
  const segments = new Map(trainableOf(policy).layout.map((segment) => [segment.name, segment]));
  for (const linear of adapter.pairs.keys())
    if (!segments.has(`${linear}.lora_A`))
      throw new UserError(
        `The adapter stands on ${linear}, which the policy does not train; create the policy with targets ${adapter.targets.join(', ')}`,
      );
  const rescale = adapter.scale / (method.alpha / method.rank);
  for (const linear of loraLinears(method, policy.base.config)) {
    const b = segments.get(`${linear}.lora_B`)!;
    const pair = adapter.pairs.get(linear);
    cut(values, b).fill(0);
    if (!pair) continue;
    values.set(checked(ADAPTER_CONFIG, `${linear}.lora_A`, pair.a), segments.get(`${linear}.lora_A`)!.offset);
    const from = checked(ADAPTER_CONFIG, `${linear}.lora_B`, pair.b);
    for (let row = 0; row < b.shape[0]; row++)
      for (let r = 0; r < adapter.rank; r++)
        values[b.offset + row * method.rank + r] = from[row * adapter.rank + r] * rescale;
  }
}

function checked(file: string, name: string, values: Float32Array): Float32Array {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new UserError(
      `${file}: ${name} holds ${values[bad]} at position ${bad}; the file is damaged, choose an earlier checkpoint`,
    );
  return values;
}
