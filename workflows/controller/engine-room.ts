/**
 * The controller's engine: started when first needed, opened once, with the models and policies that are in it. When the
 * device goes away everything in it is gone; the next call starts a fresh one.
 */
import type {
  DeviceInfo,
  DeviceReport,
  EngineApi,
  EngineEvents,
  MemoryLoad,
  MemoryPlan,
  ModelInfo,
} from '../../engine/protocol.ts';
import type { Cast } from '../schema/cast.ts';
import { modelFiles } from '../workspace/models.ts';
import type { EngineHandle, Host } from './host.ts';

export type EngineRoom = {
  engine(): Promise<EngineApi>;
  device(): Promise<DeviceInfo>;
  /** Every device of this place, by an engine of its own, so that measuring disturbs no training. */
  devices(measure: boolean): Promise<DeviceReport[]>;
  inspect(name: string): Promise<ModelInfo>;
  plan(name: string, load: MemoryLoad): Promise<MemoryPlan | null>;
  /** Loads what a cast needs and makes its policies, named by `nameOf`. */
  seat(
    cast: Cast,
    seed: number,
    nameOf: (policy: string) => string,
    onProgress: (phase: string) => void,
  ): Promise<void>;
  unseat(policies: readonly string[]): Promise<void>;
  close(): Promise<void>;
};

export function openEngineRoom(host: Host, events: Omit<EngineEvents, 'onTuned'>): EngineRoom {
  let opened: Promise<{ handle: EngineHandle; device: DeviceInfo }> | null = null;
  const models = new Map<string, number>();
  const seated = new Map<string, string>();

  const forgetAll = () => {
    opened = null;
    models.clear();
    seated.clear();
  };
  const open = async () => {
    const handle: EngineHandle = await host.startEngine({
      ...events,
      onDeviceLost: (event) => {
        forgetAll();
        events.onDeviceLost(event);
        void handle.close();
      },
      // Kept for speed alone: what cannot be written is measured again.
      onTuned: ({ tunings }) => void host.tunings?.write(tunings).catch(() => {}),
    });
    const device = await handle.engine.open(host.device, await host.remembered?.read(), await host.tunings?.read());
    if (host.device === 'auto') await host.remembered?.write(device.kind);
    return { handle, device };
  };
  const ready = () => {
    opened ??= open().catch((error: unknown) => {
      opened = null;
      throw error;
    });
    return opened;
  };
  const engine = async () => (await ready()).handle.engine;

  const load = async (name: string) => {
    if (!models.has(name)) await (await engine()).loadModel(name, await modelFiles(host.places, name));
    models.set(name, (models.get(name) ?? 0) + 1);
  };
  const unload = async (name: string) => {
    const uses = (models.get(name) ?? 1) - 1;
    models.set(name, uses);
    if (uses > 0) return;
    models.delete(name);
    await (await engine()).unloadModel(name);
  };

  return {
    engine,
    device: async () => (await ready()).device,
    devices: async (measure) => {
      const handle = await host.startEngine({ onToken() {}, onProgress() {}, onDeviceLost() {}, onTuned() {} });
      try {
        return await handle.engine.devices(measure);
      } finally {
        await handle.close();
      }
    },
    inspect: async (name) => (await engine()).inspect(await modelFiles(host.places, name)),
    plan: async (name, load) => (await engine()).plan(await modelFiles(host.places, name), load),
    seat: async (cast, seed, nameOf, onProgress) => {
      for (const [i, [policy, choice]] of Object.entries(cast.policies).entries()) {
        if (choice.by !== undefined || seated.has(nameOf(policy))) continue;
        onProgress(`loading ${choice.model}`);
        await load(choice.model);
        await (
          await engine()
        ).createPolicy({
          policy: nameOf(policy),
          model: choice.model,
          method: choice.method,
          frozen: choice.frozen,
          seed: (seed + i) >>> 0,
          ...(choice.weights === undefined ? {} : { rollout: choice.weights }),
          ...(choice.keys === undefined ? {} : { keys: choice.keys }),
          ...(choice.activations === undefined ? {} : { activations: choice.activations }),
        });
        seated.set(nameOf(policy), choice.model);
      }
    },
    unseat: async (policies) => {
      for (const policy of policies) {
        const model = seated.get(policy);
        if (model === undefined) continue;
        seated.delete(policy);
        await (await engine()).dropPolicy(policy);
        await unload(model);
      }
    },
    close: async () => {
      const current = await opened?.catch(() => null);
      forgetAll();
      await current?.handle.close();
    },
  };
}
