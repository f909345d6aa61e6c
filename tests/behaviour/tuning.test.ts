/** A GPU is tuned to a model when that is first sampled; a later start takes the same choices again, and gives the same tokens. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../engine/device/adapter.ts';
import '../../engine/device/register.node.ts';
import { createEngine } from '../../engine/engine.ts';
import { filesAt } from '../../engine/formats/folder.node.ts';
import '../../engine/formats/source.node.ts';
import type { EngineEvents, Tunings } from '../../engine/protocol.ts';
import { openEngineRoom } from '../../workflows/controller/engine-room.ts';
import { castSchema } from '../../workflows/schema/cast.ts';
import { downloadsInto } from '../../workflows/train/test-support.ts';
import { rememberedTunings } from '../../workflows/workspace/remembered.ts';
import { openNodeStore } from '../../workflows/workspace/store.node.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

describe.skipIf(absent)(`tuning a GPU to a model ${absent ?? ''}`, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-tuning-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Starts an engine, samples two answers of nano, and closes it. How often something was measured, and the tokens. */
  async function start(kept: boolean): Promise<{ written: Tunings[]; ids: (readonly number[])[] }> {
    const store = openNodeStore(folder);
    const written: Tunings[] = [];
    const memory = rememberedTunings(store);
    const write = async (tunings: Tunings): Promise<void> => {
      written.push(tunings);
      await memory.write(tunings);
    };
    const bundled = { nano: await filesAt(path.resolve(import.meta.dirname, '../../models/nano')) };
    const room = openEngineRoom(
      {
        startEngine: async (events: EngineEvents) => {
          const engine = createEngine(events);
          return { engine, close: () => engine.close() };
        },
        ...{
          device: 'webgpu',
          software: {},
          downloads: downloadsInto(store),
          ...(kept ? { tunings: { read: memory.read, write } } : {}),
        },
        places: { store, bundled, refOf: async (inside) => ({ kind: 'path', path: path.join(folder, inside) }) },
      },
      { onToken() {}, onProgress() {}, onDeviceLost() {} },
    );
    const cast = castSchema.parse({
      ...{ name: 'one', roles: {} },
      policies: { all: { model: 'nano', method: { kind: 'full' }, frozen: true } },
    });
    await room.seat(cast, 1, (policy) => policy, () => {}); // prettier-ignore
    const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 8, stop: [], seed: 3 };
    const answers = await (
      await room.engine()
    ).generate(
      'all',
      [5, 9].map((seed) => ({
        record: `r${seed}`,
        prompt: { ids: [seed, 20, 30] },
        sampling: { ...sampling, seed },
        keep: false,
      })),
    );
    await room.close();
    return { written, ids: answers.map(({ ids }) => ids) };
  }

  it('chooses, keeps and takes again; and changes no token', { timeout: 400_000 }, async () => {
    const { written, ids } = await start(false);
    expect(written).toEqual([]);
    const first = await start(true);
    expect(first.ids).toEqual(ids);
    expect(first.written).toHaveLength(1);
    const [name, chosen] = Object.entries(first.written[0])[0];
    expect(name).toBe((adapter as { name: string }).name);
    expect(Object.keys(chosen).join('; ')).toMatch(/f32 \d+ to \d+, 2 rows/);
    // Only what there was no time for is measured at the next start.
    const second = await start(true);
    expect(second.ids).toEqual(ids);
    expect(Object.keys(second.written[0]?.[name] ?? {}).filter((product) => product in chosen)).toEqual(
      second.written.length > 0 ? Object.keys(chosen) : [],
    );
    expect((await rememberedTunings(openNodeStore(folder)).read())[name]).toMatchObject(chosen);
  });
});
