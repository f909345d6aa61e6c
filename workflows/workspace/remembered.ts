/** What was measured of devices here, so that it need not be again; a file that cannot be read is as good as none. */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { DeviceKind, Tunings } from '../../engine/protocol.ts';
import { jsonBytes, parseAs } from './layout.ts';
import type { Store } from './store.ts';

const deviceFile = 'device.json';
const deviceSchema = z.object({ kind: z.enum(['webgpu', 'wasm', 'cpu']) });
const tuningsFile = 'tunings.json';
const tuningsSchema = z.record(z.string(), z.record(z.string(), z.string()));

async function readAs<T>(store: Store, file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  if ((await store.stat(file)) === null) return undefined;
  try {
    return parseAs(schema, await store.read(file), file);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Which device an earlier probe found fastest. */
export function rememberedDevice(store: Store): {
  read(): Promise<DeviceKind | undefined>;
  write(kind: DeviceKind): Promise<void>;
} {
  return {
    read: async () => (await readAs(store, deviceFile, deviceSchema))?.kind,
    write: (kind) => store.write(deviceFile, jsonBytes({ kind })),
  };
}

/** How adapters were tuned to models. */
export function rememberedTunings(store: Store): {
  read(): Promise<Tunings>;
  write(tunings: Tunings): Promise<void>;
} {
  return {
    read: async () => (await readAs(store, tuningsFile, tuningsSchema)) ?? {},
    write: (tunings) => store.write(tuningsFile, jsonBytes(tunings)),
  };
}
