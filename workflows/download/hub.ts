/**
 * What a Hugging Face-compatible endpoint is asked and what of its answer is believed: a repository's name, the files of one
 * commit with their sizes and checksums, and which of them make a model. Pure; it fetches nothing.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { isModelFile } from '../workspace/models.ts';

export type Repo = {
  readonly id: string;
  readonly revision: string;
  /** One GGUF file of it. */ readonly file?: string;
};

/** `sha256` of the bytes, or `git`: the SHA-1 of a git blob, which is what small files have. */
export type Digest = { readonly kind: 'sha256' | 'git'; readonly hex: string };
export type HubFile = { readonly path: string; readonly size: number; readonly digest: Digest };
export type Listing = { readonly commit: string; readonly files: readonly HubFile[] };

export const USUAL_ENDPOINT = 'https://huggingface.co';
const loopback = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Whether bytes may come from there: encrypted, or from this machine itself. */
export function isTrustworthy(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && loopback.has(url.hostname));
}

/** The base address, without credentials, query or trailing slash. */
export function endpointOf(text: string): string {
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    throw new UserError(`Not an address: ${text}; give one such as ${USUAL_ENDPOINT}`);
  }
  if (!isTrustworthy(url))
    throw new UserError(`Models come over https only (or from this machine itself): ${text}; give an https address`);
  if (url.username || url.password)
    throw new UserError(`Leave name and password out of the address: ${url.host}; a token is read from HF_TOKEN`);
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** "owner/name", with "/file.gguf" and "@revision" where wanted, or the address of its page. */
export function repoOf(text: string): Repo {
  const bare = text
    .trim()
    .replace(/^https?:\/\/[^/]+\//, '')
    .replace(/\/+$/, '');
  const part = '[A-Za-z0-9][\\w.-]{0,95}';
  const found = new RegExp(`^(${part})/(${part})(?:/(${part}\\.gguf))?(?:@([A-Za-z0-9][\\w.-]{0,63}))?$`, 'i').exec(
    bare,
  );
  if (!found || bare.includes('..'))
    throw new UserError(`Not a model's name: ${text}; it looks like owner/name or owner/name/file.gguf`);
  const [, owner, name, file, revision = 'main'] = found;
  return { id: `${owner}/${name}`, revision, ...(file === undefined ? {} : { file }) };
}

const size = z
  .int()
  .min(0)
  .max(2 ** 46);
const answerSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z
    .array(
      z.object({
        rfilename: z.string().max(500),
        size: size.optional(),
        blobId: z
          .string()
          .regex(/^[0-9a-f]{40}$/)
          .optional(),
        lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size }).optional(),
      }),
    )
    .max(20_000),
});

/** The files of a model in an endpoint's answer. Throws a UserError where there is none, or none that can be checked. */
export function listingOf(answer: unknown, repo: Repo): Listing {
  const read = answerSchema.safeParse(answer);
  if (!read.success)
    throw new UserError(`The endpoint's answer about ${repo.id} is not understood; is it Hugging Face-compatible?`);
  const { sha, siblings } = read.data;
  const names = siblings.map(({ rfilename }) => rfilename);
  const chosen = new Set(namesToTake(names, repo));
  const files = siblings
    .filter(({ rfilename }) => chosen.has(rfilename))
    .map((file): HubFile => {
      const { rfilename: path, lfs, blobId } = file;
      if (lfs) return { path, size: lfs.size, digest: { kind: 'sha256', hex: lfs.sha256 } };
      if (blobId === undefined || file.size === undefined)
        throw new UserError(
          `The endpoint gives no checksum of ${path} in ${repo.id}; what cannot be checked is not taken`,
        );
      return { path, size: file.size, digest: { kind: 'git', hex: blobId } };
    });
  return { commit: sha, files };
}

function namesToTake(names: readonly string[], { id, file }: Repo): string[] {
  const ggufs = names.filter((name) => /^[^/\\]+\.gguf$/i.test(name));
  if (file !== undefined) {
    if (!names.includes(file)) throw new UserError(`${id} has no file ${file}; it has ${some(ggufs)}`);
    return [file];
  }
  const folder = names.filter(isModelFile);
  if (folder.includes('config.json') && folder.some((name) => name.endsWith('.safetensors'))) return folder;
  if (ggufs.length === 1) return ggufs;
  if (ggufs.length > 1)
    throw new UserError(`${id} has several models; name one of its files: ${id}/${ggufs[0]} (of ${some(ggufs)})`);
  throw new UserError(`${id} holds no model that can be read here: no config.json with safetensors, and no GGUF file`);
}

function some(names: readonly string[]): string {
  return names.length === 0 ? 'no GGUF file' : names.slice(0, 6).join(', ') + (names.length > 6 ? ' …' : '');
}

export function listingUrl(endpoint: string, { id, revision }: Repo): URL {
  return new URL(`${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`);
}

export function fileUrl(endpoint: string, id: string, commit: string, path: string): URL {
  return new URL(`${endpoint}/${id}/resolve/${commit}/${encodeURIComponent(path)}`);
}
