/** Hosts an engine behind a port: what every worker entry does, whatever platform it is on. */
import { createEngine } from './engine.ts';
import type { EngineApi, EngineEvents } from './protocol.ts';
import { connect, type Wire } from './wire.ts';

export function hostEngine(wire: Wire): void {
  const client = connect<EngineEvents, EngineApi>(
    wire,
    createEngine({
      onToken: (event) => void client.onToken(event),
      onProgress: (event) => void client.onProgress(event),
      onDeviceLost: (event) => void client.onDeviceLost(event),
      onTuned: (event) => void client.onTuned(event),
    }),
    ['onToken', 'onProgress', 'onDeviceLost', 'onTuned'],
  );
}
