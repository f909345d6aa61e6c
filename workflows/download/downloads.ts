/**
 * Models on their way into a workspace folder: `models/.downloading-<name>/` holds what has come and what is still wanted,
 * pinned to one commit, and becomes `models/<name>` once every file has its announced checksum. A download can be paused,
 * survives the end of the program, and asks nothing of any endpoint before it is told to.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { Download, DownloadApi, DownloadRequest } from '../protocol.ts';
import { jsonBytes, parseAs, paths, readSmall } from '../workspace/layout.ts';
import { checkModelName, modelName } from '../workspace/models.ts';
import type { Store } from '../workspace/store.ts';
import type { Endpoint } from './ask.ts';
import { chunksOf, fetchFile, sizeOf, type Place, type Progress } from './fetch-file.ts';
import { endpointOf, fileUrl, listingOf, listingUrl, repoOf, USUAL_ENDPOINT, type Listing, type Repo } from './hub.ts';
import { patiently, usualPatience, type Patience } from './patience.ts';
import { openRate } from './rate.ts';

const MARK = '.downloading-';
const LISTING_MAX_BYTES = 8 * 1024 * 1024;
const SPARE_BYTES = 256 * 1024 * 1024;
const TELL_EVERY_MS = 250;

const planSchema = z.object({
  troupe: z.literal('download'),
  version: z.literal(1),
  endpoint: z.string(),
  repo: z.string(),
  revision: z.string(),
  file: z.string().optional(),
  commit: z.string().optional(),
  files: z
    .array(
      z.object({
        path: z.string().regex(/^[\w][\w.-]*$/),
        size: z.int().min(0),
        digest: z.object({ kind: z.enum(['sha256', 'git']), hex: z.string() }),
      }),
    )
    .optional(),
});
type Plan = z.infer<typeof planSchema>;

export type DownloadOptions = Omit<Place, 'store'> & {
  store: Store;
  /** Bytes there is room for. */
  free(): Promise<number>;
  onDownload(download: Download): void;
  token?: string;
  endpoint?: string;
  patience?: Patience;
};

type Active = { state: Download; stop: AbortController; ended: Promise<void> };

export function openDownloads(options: DownloadOptions): DownloadApi {
  const { store, ask, free, patience = usualPatience } = options;
  const active = new Map<string, Active>();
  const placeOf = (name: string): string => `${paths.models()}/${MARK}${name}`;
  const planFile = (name: string): string => `${placeOf(name)}/download.json`;

  const readPlan = async (name: string): Promise<Plan> =>
    parseAs(planSchema, await readSmall(store, planFile(name)), planFile(name));
  const writePlan = (name: string, plan: Plan): Promise<void> => store.write(planFile(name), jsonBytes(plan));

  const left = async (): Promise<string[]> =>
    (await store.list(paths.models())).flatMap((name) =>
      name.startsWith(MARK) && name.endsWith('/') ? [name.slice(MARK.length, -1)] : [],
    );

  const bytesHere = async (name: string): Promise<number> => {
    const names = await store.list(placeOf(name));
    const kept = names.filter((file) => file !== 'download.json' && file !== 'claim');
    const sizes = await Promise.all(kept.map((file) => sizeOf(store, `${placeOf(name)}/${file}`)));
    return sizes.reduce((sum, size) => sum + size, 0);
  };

  const resting = async (name: string): Promise<Download | null> => {
    const plan = await readPlan(name).catch(() => null);
    if (!plan) return null;
    const totalBytes = plan.files?.reduce((sum, { size }) => sum + size, 0) ?? 0;
    const doneBytes = await bytesHere(name);
    const moved = (await store.stat(planFile(name)))?.modifiedMs ?? 0;
    return { ...fresh(name, plan), state: 'paused', totalBytes, doneBytes, movedAt: moved };
  };

  const begin = (name: string, plan: Plan): Download => {
    const stop = new AbortController();
    const state = fresh(name, plan);
    const mine: Active = { state, stop, ended: Promise.resolve() };
    active.set(name, mine);
    mine.ended = work(name, plan, mine)
      .catch((error: unknown) => settle(mine, error))
      .finally(async () => {
        active.delete(name);
        await store.release(`${placeOf(name)}/claim`).catch(() => {});
      });
    return { ...state };
  };

  const settle = (mine: Active, error: unknown): void => {
    const paused = mine.stop.signal.aborted;
    const note = error instanceof Error ? error.message : String(error);
    change(mine, { state: paused ? 'paused' : 'failed', bytesPerSecond: 0, etaMs: null, ...(paused ? {} : { note }) });
  };

  const change = (mine: Active, next: Partial<Download>): void => {
    Object.assign(mine.state, { note: undefined }, next);
    options.onDownload({ ...mine.state });
  };

  const work = async (name: string, plan: Plan, mine: Active): Promise<void> => {
    const endpoint: Endpoint = { base: plan.endpoint, ...(options.token ? { token: options.token } : {}) };
    const whole = await listed(name, plan, endpoint, mine);
    const total = whole.files.reduce((sum, { size }) => sum + size, 0);
    const doneBytes = await bytesHere(name);
    await refuseIfFull(total - doneBytes);
    change(mine, { state: 'running', totalBytes: total, doneBytes, movedAt: Date.now() });
    const tell = follow(mine, change);
    try {
      for (const file of whole.files) {
        const path = `${placeOf(name)}/${file.path}`;
        if ((await store.stat(path))?.size === file.size) continue;
        change(mine, { state: 'running', file: file.path });
        const url = fileUrl(plan.endpoint, plan.repo, whole.commit, file.path);
        const manner = { patience, signal: mine.stop.signal, progress: tell };
        await fetchFile(options, { url, file, path, endpoint }, manner);
      }
    } finally {
      tell.end();
    }
    mine.stop.signal.throwIfAborted();
    await store.release(`${placeOf(name)}/claim`);
    await store.remove(planFile(name));
    await store.move(placeOf(name), paths.model(name));
    change(mine, { state: 'done', file: '', bytesPerSecond: 0, etaMs: 0, doneBytes: total, movedAt: Date.now() });
  };

  /** The files and the commit they are of: asked once, then kept, so that a resumed download goes on with the same bytes. */
  const listed = async (name: string, plan: Plan, endpoint: Endpoint, mine: Active): Promise<Listing> => {
    if (plan.commit !== undefined && plan.files !== undefined) return { commit: plan.commit, files: plan.files };
    change(mine, { state: 'listing' });
    const repo: Repo = {
      id: plan.repo,
      revision: plan.revision,
      ...(plan.file === undefined ? {} : { file: plan.file }),
    };
    const wait = (reason: string, ms: number): void => change(mine, { state: 'waiting', note: waitNote(reason, ms) });
    const answer = await patiently(patience, mine.stop.signal, wait, async (signal, alive) =>
      readJson(await ask(listingUrl(plan.endpoint, repo), endpoint, { accept: 'application/json' }, signal), alive),
    );
    const listing = listingOf(answer, repo);
    await writePlan(name, { ...plan, commit: listing.commit, files: [...listing.files] });
    return listing;
  };

  const refuseIfFull = async (wanted: number): Promise<void> => {
    const room = await free();
    if (wanted + SPARE_BYTES > room)
      throw new UserError(
        `The disk has too little room: ${room} bytes are free and ${wanted} are to come; free some space`,
      );
  };

  const claimed = async (name: string): Promise<void> => {
    if (!(await store.claim(`${placeOf(name)}/claim`)))
      throw new UserError(`${name} is being downloaded by another Troupe; pause it there first`);
  };

  return {
    downloads: async () => {
      const names = [...new Set([...active.keys(), ...(await left())])];
      const all = await Promise.all(names.map((name) => active.get(name)?.state ?? resting(name)));
      return all.filter((each) => each !== null).map((each) => ({ ...each }));
    },
    download: async (request: DownloadRequest) => {
      const repo = repoOf(request.repo);
      const endpoint = endpointOf(request.endpoint ?? options.endpoint ?? USUAL_ENDPOINT);
      const name = request.name ?? modelName(repo.file ?? repo.id.split('/')[1]);
      await checkModelName({ store, bundled: {}, refOf: never }, name);
      if (active.has(name) || (await left()).includes(name))
        throw new UserError(
          `A download of that name is there already: ${name}; resume it, cancel it or choose another name`,
        );
      const { id, ...rest } = repo;
      const plan: Plan = { troupe: 'download', version: 1, endpoint, repo: id, ...rest };
      await claimed(name);
      await writePlan(name, plan);
      return begin(name, plan);
    },
    pauseDownload: async (name) => {
      const found = active.get(name);
      found?.stop.abort(new UserError('paused'));
      await found?.ended;
    },
    resumeDownload: async (name) => {
      if (active.has(name)) return { ...active.get(name)!.state };
      if (!(await left()).includes(name)) throw new UserError(`No such download: ${name}; begin it anew`);
      const plan = await readPlan(name);
      await claimed(name);
      return begin(name, { ...plan, endpoint: endpointOf(plan.endpoint) });
    },
    cancelDownload: async (name) => {
      const found = active.get(name);
      if (!found && !(await left()).includes(name)) throw new UserError(`No such download: ${name}`);
      found?.stop.abort(new UserError('cancelled'));
      await found?.ended;
      if (!found) await claimed(name);
      await store.remove(placeOf(name));
      // Where a claim is no file of the folder, it is still held.
      await store.release(`${placeOf(name)}/claim`);
    },
  };
}

const never = (): Promise<never> => Promise.reject(new Error('names only'));

function fresh(name: string, plan: Plan): Download {
  return {
    name,
    repo: plan.file === undefined ? plan.repo : `${plan.repo}/${plan.file}`,
    endpoint: plan.endpoint,
    state: 'listing',
    file: '',
    doneBytes: 0,
    totalBytes: 0,
    bytesPerSecond: 0,
    etaMs: null,
    movedAt: Date.now(),
  };
}

function waitNote(reason: string, ms: number): string {
  return `${reason}; trying again in ${Math.max(1, Math.round(ms / 1_000))} s`;
}

/** Turns bytes as they come into what a bar shows, a few times a second. */
function follow(mine: Active, change: (mine: Active, next: Partial<Download>) => void): Progress & { end(): void } {
  const rate = openRate();
  let soon: ReturnType<typeof setTimeout> | null = null;
  const tell = (): void => {
    soon = null;
    const now = Date.now();
    const rest = mine.state.totalBytes - mine.state.doneBytes;
    change(mine, { state: 'running', bytesPerSecond: rate.perSecond(now), etaMs: rate.etaMs(rest, now) });
  };
  const end = (): void => {
    if (soon !== null) clearTimeout(soon);
    soon = null;
  };
  const instead = (next: Partial<Download>): void => {
    end();
    change(mine, next);
  };
  return {
    onBytes: (count) => {
      const now = Date.now();
      rate.add(count, now);
      mine.state.doneBytes = Math.max(0, mine.state.doneBytes + count);
      mine.state.movedAt = now;
      // Told a little later, so that the last bytes before a silence are told too.
      soon ??= setTimeout(tell, TELL_EVERY_MS);
    },
    onWait: (reason, ms) => instead({ state: 'waiting', note: waitNote(reason, ms), etaMs: null, bytesPerSecond: 0 }),
    onChecking: () => instead({ state: 'checking', etaMs: null }),
    end,
  };
}

async function readJson(response: Response, alive: () => void): Promise<unknown> {
  const parts: BlobPart[] = [];
  let size = 0;
  for await (const chunk of chunksOf(response)) {
    alive();
    size += chunk.byteLength;
    if (size > LISTING_MAX_BYTES)
      throw new UserError(
        `The endpoint's list of files is larger than ${LISTING_MAX_BYTES} bytes; use another endpoint`,
      );
    parts.push(chunk as Uint8Array<ArrayBuffer>);
  }
  try {
    return JSON.parse(await new Blob(parts).text());
  } catch {
    throw new UserError(`The endpoint did not answer with JSON; is it Hugging Face-compatible?`);
  }
}
