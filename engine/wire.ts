/**
 * The engine's protocol over any port that posts structured clones: errors keep their kind and sentence, large files move
 * instead of being copied, and calls never time out, since training takes as long as it takes.
 */
import { createBirpc, type BirpcReturn } from 'birpc';
import { Cancelled, UserError } from './errors.ts';

/** A MessagePort, a Web Worker or a worker_threads port, as far as we need one. */
export type Wire = {
  post(message: unknown, transfer: ArrayBuffer[]): void;
  listen(receive: (message: unknown) => void): void;
};

type WireError = { readonly name: string; readonly message: string; readonly stack?: string };
type Message = { e?: unknown; r?: unknown };

const TRANSFER_FROM_BYTES = 65_536;

/** `Remote` is what the other side offers, `local` what we offer it. */
export function connect<Remote extends object, Local extends object>(
  wire: Wire,
  local: Local,
  eventNames: (keyof Remote)[],
): BirpcReturn<Remote, Local> {
  return createBirpc<Remote, Local>(local, {
    post: (message: Message) => wire.post(message, transferable(message.r)),
    on: (receive) => wire.listen(receive),
    serialize: (message: Message) => (message.e === undefined ? message : { ...message, e: packError(message.e) }),
    deserialize: (message: Message) =>
      message.e === undefined ? message : { ...message, e: unpackError(message.e as WireError) },
    eventNames,
    bind: 'functions',
    timeout: -1,
  });
}

/** Calls of the other side as plain functions, which can be spread and handed on. */
export function callsOf<Api extends object>(
  remote: { $call(name: never, ...args: never[]): unknown },
  names: readonly (keyof Api)[],
): Api {
  const call = remote.$call as (name: keyof Api, ...args: unknown[]) => unknown;
  return Object.fromEntries(names.map((name) => [name, (...args: unknown[]) => call(name, ...args)])) as Api;
}

/** UserErrors and cancellations travel without a stack; bugs keep theirs. */
function packError(error: unknown): WireError {
  if (error instanceof UserError || error instanceof Cancelled) return { name: error.name, message: error.message };
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack };
  return { name: 'Error', message: String(error) };
}

function unpackError({ name, message, stack }: WireError): Error {
  if (name === 'UserError') return new UserError(message);
  const error =
    name === 'Cancelled' ? Object.assign(new Cancelled(''), { message }) : Object.assign(new Error(message), { name });
  if (stack) error.stack = stack;
  return error;
}

/** Buffers of handed-out files that are large and wholly theirs. */
function transferable(result: unknown): ArrayBuffer[] {
  if (!Array.isArray(result)) return [];
  const buffers = result.flatMap((item: unknown) => {
    const bytes = (item as { bytes?: unknown } | null)?.bytes;
    const whole =
      bytes instanceof Uint8Array &&
      bytes.buffer instanceof ArrayBuffer &&
      bytes.byteLength === bytes.buffer.byteLength;
    return whole && bytes.byteLength >= TRANSFER_FROM_BYTES ? [bytes.buffer as ArrayBuffer] : [];
  });
  return [...new Set(buffers)];
}
