/** Models as screens list, add, remove and export them. */
import { UserError } from '../../engine/errors.ts';
import type { FileOut, FileRef, FileSet } from '../../engine/protocol.ts';
import type { ModelEntry } from '../protocol.ts';
import { enginePolicy } from '../train/learn.ts';
import { paths } from '../workspace/layout.ts';
import { addModelFiles, checkModelName, modelNames } from '../workspace/models.ts';
import { checkpointStep, policyFiles, readRun } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { seatedCast } from './branch.ts';
import type { EngineRoom } from './engine-room.ts';
import type { Host } from './host.ts';

export async function listModels(host: Host, room: EngineRoom): Promise<ModelEntry[]> {
  return Promise.all((await modelNames(host.places)).map((model) => entry(room, model)));
}

async function entry(room: EngineRoom, { name, bundled }: { name: string; bundled: boolean }): Promise<ModelEntry> {
  try {
    return { name, bundled, info: await room.inspect(name) };
  } catch (error) {
    return { name, bundled, info: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** What belongs to a model; folders also hold pictures, other formats' weights and programs. */
const kept = /\.(json|safetensors|gguf|jinja|model|md|txt)$|^(LICENSE|NOTICE)$/i;

/** Checks the files with the engine first, so that nothing unreadable is ever stored. */
export async function addModel(host: Host, room: EngineRoom, name: string, files: FileSet): Promise<ModelEntry> {
  await checkModelName(host.places, name);
  const info = await (await room.engine()).inspect(files);
  await addModelFiles(
    host.places,
    name,
    Object.keys(files).filter((file) => kept.test(file)),
    (file) => bytesOf(host, file, files[file]),
  );
  return { name, bundled: false, info };
}

async function bytesOf(host: Host, name: string, ref: FileRef): Promise<Uint8Array> {
  switch (ref.kind) {
    case 'bytes':
      return ref.bytes;
    case 'blob':
      return new Uint8Array(await ref.blob.arrayBuffer());
    case 'path':
      if (!host.readFile)
        throw new UserError(`Files cannot be read by path here: ${name}; choose them with the file picker`);
      return host.readFile(ref.path);
    case 'url':
      throw new UserError(`Models are not added from an address: ${ref.url}; download it first`);
    default:
      return ref satisfies never;
  }
}

export async function removeModel(host: Host, name: string): Promise<void> {
  const found = (await modelNames(host.places)).find((model) => model.name === name);
  if (!found) throw new UserError(`No such model: ${name}`);
  if (found.bundled) throw new UserError(`${name} comes with Troupe and stays`);
  await host.places.store.remove(paths.model(name));
}

/** A checkpoint of a run's policy, the newest where no step is named, as files for other programs. */
export async function exportCheckpoint(
  store: Store,
  room: EngineRoom,
  { run, policy, what, step: named }: { run: string; policy: string; what: 'peft' | 'merged'; step?: number },
): Promise<FileOut[]> {
  const config = await readRun(store, run);
  if (!config.cast.policies[policy])
    throw new UserError(`Run ${run} has no policy ${policy}; it has ${Object.keys(config.cast.policies).join(', ')}`);
  const step = await checkpointStep(store, run, named);
  const files = await policyFiles(store, config, step, policy);
  if (Object.keys(files).length === 0)
    throw new UserError(`The policy ${policy} of run ${run} is frozen and learned nothing; export one that trains`);
  const cast = seatedCast(config);
  const nameOf = (each: string) => `export/${enginePolicy(run, each)}`;
  await room.seat({ ...cast, policies: { [policy]: cast.policies[policy] } }, config.settings.seed, nameOf, () => {});
  try {
    const engine = await room.engine();
    await engine.importPolicy(nameOf(policy), files);
    return await engine.exportPolicy(nameOf(policy), what);
  } finally {
    await room.unseat([nameOf(policy)]);
  }
}
