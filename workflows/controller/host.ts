/** What a place (terminal, browser worker, desktop) gives the controller: an engine to start, a store, bundled files. */
import type { DeviceChoice, DeviceKind, EngineApi, EngineEvents, Tunings } from '../../engine/protocol.ts';
import type { ControllerEvents, DownloadApi } from '../protocol.ts';
import type { Services } from '../run/services.port.ts';
import type { Outside } from '../run/answering.ts';
import type { ModelPlaces } from '../workspace/models.ts';

export type EngineHandle = { engine: EngineApi; close(): Promise<void> };

export type Host = {
  startEngine(events: EngineEvents): Promise<EngineHandle>;
  places: ModelPlaces;
  device: DeviceChoice;
  /** Which CPU path an earlier probe found fastest, and how to remember it. */
  remembered?: { read(): Promise<DeviceKind | undefined>; write(kind: DeviceKind): Promise<void> };
  /** Where it is kept how a device was tuned to models; absent where it is not to be. */
  tunings?: { read(): Promise<Tunings>; write(tunings: Tunings): Promise<void> };
  /** A file a person named: a task, a corpus. Absent where there are no paths. */
  readFile?(path: string): Promise<Uint8Array>;
  /** Services and people that may play a role; absent where neither can be reached. */
  outside?: Outside;
  /** Keys of services, where a screen may ask for them. */
  keys?: Pick<Services, 'keyPlace' | 'keepKey'>;
  /** Whether screens are connected: people there may play a role. */
  screens?: boolean;
  /** Models from an endpoint. */
  downloads(onDownload: ControllerEvents['onDownload']): DownloadApi;
  software: Readonly<Record<string, string>>;
};
