/**
 * Models by name: those that come with Troupe, those in the workspace's models folder, and where there is a file system,
 * a folder or GGUF file by path. Knows where files are, not what is in them.
 */
import { UserError } from '../../engine/errors.ts';
import type { FileRef, FileSet } from '../../engine/protocol.ts';
import { paths } from './layout.ts';
import type { Store } from './store.ts';

export type ModelPlaces = {
  store: Store;
  /** Bundled models by name. */
  bundled: Readonly<Record<string, FileSet>>;
  /** How the engine may read a workspace file: a path on disk, or bytes handed over. */
  refOf(path: string): Promise<FileRef>;
  /** A model by path, where paths exist; null when there is none at that path. */
  fromPath?(path: string): Promise<FileSet | null>;
};

export async function modelNames(places: ModelPlaces): Promise<{ name: string; bundled: boolean }[]> {
  const own = (await places.store.list(paths.models()))
    .filter((name) => name.endsWith('/') && !name.startsWith('.'))
    .map((name) => name.slice(0, -1));
  return [
    ...Object.keys(places.bundled).map((name) => ({ name, bundled: true })),
    ...own.map((name) => ({ name, bundled: false })),
  ];
}

export async function modelFiles(places: ModelPlaces, name: string): Promise<FileSet> {
  const bundled = places.bundled[name];
  if (bundled) return bundled;
  if (/^[\w][\w.-]*$/.test(name)) {
    const files = (await places.store.list(paths.model(name))).filter((file) => !file.endsWith('/'));
    if (files.length > 0) {
      const entries = await Promise.all(
        files.map(async (file) => [file, await places.refOf(`${paths.model(name)}/${file}`)] as const),
      );
      return Object.fromEntries(entries);
    }
  }
  const found = await places.fromPath?.(name);
  if (found) return found;
  const known = (await modelNames(places)).map((model) => model.name);
  throw new UserError(
    `No such model: ${name}; there are ${known.join(', ')}${places.fromPath ? ', or name a folder or a .gguf file' : ''}`,
  );
}

const modelFile =
  /^(config\.json|generation_config\.json|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|chat_template\.(jinja|json)|model[\w.-]*\.safetensors|model\.safetensors\.index\.json)$/;

/** What belongs to a model in a Hugging Face folder; such folders also hold pictures and other formats' weights. */
export function isModelFile(name: string): boolean {
  return modelFile.test(name);
}

/** A name the workspace accepts: letters, digits, dots, - and _. */
export function modelName(from: string): string {
  return from
    .replace(/\.gguf$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 64);
}

const nameRule = /^[a-z0-9][a-z0-9._-]{0,63}$/i;

/** Refuses a name that is none, or taken. */
export async function checkModelName(places: ModelPlaces, name: string): Promise<void> {
  if (!nameRule.test(name))
    throw new UserError(`Not a model name: ${name}; use letters, digits, dots, - and _, at most 64`);
  if ((await modelNames(places)).some((model) => model.name === name))
    throw new UserError(`There is a model of that name already: ${name}; choose another or remove that one first`);
}

/** Copies a model's files into the workspace, one after another, and puts the folder in place once all are there. */
export async function addModelFiles(
  { store }: ModelPlaces,
  name: string,
  files: readonly string[],
  read: (file: string) => Promise<Uint8Array>,
): Promise<void> {
  const aside = paths.model(`.adding-${name}`);
  await store.remove(aside);
  try {
    for (const file of files) await store.write(`${aside}/${file}`, await read(file));
    await store.move(aside, paths.model(name));
  } finally {
    await store.remove(aside);
  }
}
