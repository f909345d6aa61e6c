/** The controller seen from a screen: the same typed calls over a port, its events handed to `events`. */
import { webWire } from '../engine/client.ts';
import { connect } from '../engine/wire.ts';
import type { ControllerApi, ControllerEvents } from './protocol.ts';

export const controllerCalls = [
  'device',
  'devices',
  'memory',
  'workflows',
  'workflow',
  'saveWorkflow',
  'tasks',
  'models',
  'addModel',
  'removeModel',
  'chat',
  'runs',
  'run',
  'removeRun',
  'train',
  'pause',
  'resume',
  'stop',
  'jobs',
  'traces',
  'trace',
  'runQuestion',
  'stopAnswer',
  'exportPolicy',
] as const satisfies (keyof ControllerApi)[];

export const controllerEvents = ['onJob', 'onStep', 'onText', 'onNotice'] as const satisfies (keyof ControllerEvents)[];

export function connectController(port: MessagePort, events: ControllerEvents): ControllerApi {
  const remote = connect<ControllerApi, ControllerEvents>(webWire(port), events, []);
  return Object.fromEntries(
    controllerCalls.map((name) => [name, (...args: unknown[]) => remote.$call(name, ...(args as never))]),
  ) as unknown as ControllerApi;
}
