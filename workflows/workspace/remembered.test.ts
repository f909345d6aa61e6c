/** What was measured of devices comes back as it was kept; what was damaged counts as never measured. */
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../train/test-support.ts';
import { rememberedDevice, rememberedTunings } from './remembered.ts';

describe('what is remembered of devices', () => {
  it('comes back', async () => {
    const store = memoryStore();
    expect(await rememberedDevice(store).read()).toBeUndefined();
    expect(await rememberedTunings(store).read()).toEqual({});
    const tunings = { 'an adapter': { 'f32 512 to 768, 32 rows': '32x4' }, another: {} };
    await rememberedDevice(store).write('wasm');
    await rememberedTunings(store).write(tunings);
    expect(await rememberedDevice(store).read()).toBe('wasm');
    expect(await rememberedTunings(store).read()).toEqual(tunings);
  });

  it.each(['', '{', '[]', '{"an adapter":{"product":4}}', '{"an adapter":"32x4"}', 'null'])(
    'is forgotten where the file reads %j',
    async (text) => {
      const store = memoryStore();
      for (const file of ['device.json', 'tunings.json']) await store.write(file, new TextEncoder().encode(text));
      expect(await rememberedDevice(store).read()).toBeUndefined();
      expect(await rememberedTunings(store).read()).toEqual({});
    },
  );
});
