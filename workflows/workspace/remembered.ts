/** Which device an earlier probe found fastest here; a file that cannot be read is as good as none. */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { DeviceKind } from '../../engine/protocol.ts';
import { jsonBytes, parseAs } from './layout.ts';
import type { Store } from './store.ts';

const file = 'device.json';
const schema = z.object({ kind: z.enum(['webgpu', 'wasm', 'cpu']) });

export function rememberedDevice(store: Store): {
  read(): Promise<DeviceKind | undefined>;
  write(kind: DeviceKind): Promise<void>;
} {
  return {
    read: async () => {
      if ((await store.stat(file)) === null) return undefined;
      try {
        return parseAs(schema, await store.read(file), file).kind;
      } catch (error) {
        if (error instanceof UserError) return undefined;
        throw error;
      }
    },
    write: (kind) => store.write(file, jsonBytes({ kind })),
  };
}
