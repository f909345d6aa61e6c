/**
 * The engine seen from the other side of a port: the same typed calls, the same errors. It knows nothing of what runs
 * behind the port.
 */
import type { EngineApi, EngineEvents } from './protocol.ts';
import { callsOf, connect, type Wire } from './wire.ts';

export type EngineClient = EngineApi & {
  /** Ends the connection; calls still waiting reject with `reason`. */
  disconnect(reason: string): void;
};

/** Something with postMessage and message events: a Web Worker or a MessagePort. */
export type WebPort = {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
  start?(): void;
};

export function webWire(port: WebPort): Wire {
  return {
    post: (message, transfer) => port.postMessage(message, transfer),
    listen: (receive) => {
      port.addEventListener('message', (event) => receive(event.data));
      port.start?.();
    },
  };
}

const CALLS = [
  'open',
  'devices',
  'inspect',
  'plan',
  'loadModel',
  'unloadModel',
  'createPolicy',
  'dropPolicy',
  'exportPolicy',
  'importPolicy',
  'encode',
  'generate',
  'score',
  'update',
  'forget',
  'sft',
  'memory',
  'cancel',
  'close',
] as const satisfies (keyof EngineApi)[];

/** Calls an engine over a port. Events arrive at `events`. */
export function connectEngine(port: WebPort | Wire, events: EngineEvents): EngineClient {
  const remote = connect<EngineApi, EngineEvents>('listen' in port ? port : webWire(port), events, []);
  return { ...callsOf<EngineApi>(remote, CALLS), disconnect: (reason) => remote.$close(new Error(reason)) };
}
