/** A run on WebGPU whose device goes away in the middle of a step: it pauses, and goes on to the numbers it would have had. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../engine/device/adapter.ts';
import '../../engine/device/register.node.ts';
import { createEngine } from '../../engine/engine.ts';
import { filesAt } from '../../engine/formats/folder.node.ts';
import '../../engine/formats/source.node.ts';
import type { EngineEvents } from '../../engine/protocol.ts';
import { activeGpu } from '../../engine/webgpu/gpu.ts';
import { createController, type Controller } from '../../workflows/controller.ts';
import { readMetrics } from '../../workflows/workspace/runs.ts';
import { downloadsInto } from '../../workflows/train/test-support.ts';
import { openNodeStore } from '../../workflows/workspace/store.node.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

describe.skipIf(absent)(`a device that is lost ${absent ?? ''}`, () => {
  let folder: string;
  let engines = 0;
  const notices: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-lost-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Destroys the device at the first progress of this phase once `after` steps are done. */
  async function controllerThat(name: string, loses: { phase: string; after: number } | null): Promise<Controller> {
    const store = openNodeStore(path.join(folder, name));
    let steps = 0;
    let lose = loses;
    const startEngine = async (events: EngineEvents) => {
      engines++;
      const engine = createEngine({
        ...events,
        onProgress: (event) => {
          events.onProgress(event);
          if (event.phase !== lose?.phase || steps < lose.after) return;
          lose = null;
          activeGpu().device.destroy();
        },
      });
      return { engine, close: () => engine.close() };
    };
    const bundled = { nano: await filesAt(path.resolve(import.meta.dirname, '../../models/nano')) };
    return createController(
      {
        ...{ startEngine, device: 'webgpu', software: {}, downloads: downloadsInto(store) },
        places: { store, bundled, refOf: async (inside) => ({ kind: 'path', path: path.join(folder, name, inside) }) },
      },
      {
        ...{ onJob() {}, onDownload() {}, onText() {}, onTurns() {} },
        onStep: (_run, { step }) => void (steps = step),
        onNotice: ({ text }) => void notices.push(text),
      },
    );
  }

  const request = {
    ...{ id: 'r', workflow: 'single-agent', task: 'village-qa', model: 'nano', cast: 'shared', seed: 3 },
    ...{ steps: 3, queries: 2, evalEvery: 3, evalLimit: 2, checkpointEvery: 1 },
  };

  async function metricsOf(name: string): Promise<unknown[]> {
    const lines = await readMetrics(openNodeStore(path.join(folder, name)), 'r');
    return lines.map(({ timing: _, ...rest }) => rest);
  }

  it('pauses the run, which goes on to the same numbers', async () => {
    const undisturbed = await controllerThat('undisturbed', null);
    await undisturbed.train(request);
    await undisturbed.settled('r');
    await undisturbed.close();
    const wanted = await metricsOf('undisturbed');
    expect(wanted).toHaveLength(4);
    for (const phase of ['update', 'generate']) {
      const before = engines;
      const controller = await controllerThat(phase, { phase, after: 1 });
      await controller.train(request);
      await controller.settled('r');
      expect((await controller.run('r')).state).toBe('paused');
      expect(notices.at(-1)).toContain('The device was lost');
      await controller.resume('r');
      await controller.settled('r');
      expect((await controller.run('r')).state).toBe('done');
      expect(engines - before).toBe(2);
      await controller.close();
      expect(await metricsOf(phase)).toEqual(wanted);
    }
  });
});
