/** Files packed with gzip, as data sets often come; what they unpack to is bounded. */
import { UserError } from '../../engine/errors.ts';

const maxBytes = 2 ** 30;

/** The bytes, unpacked where they begin as gzip does. Throws a UserError for a damaged file and for more than 1 GiB. */
export async function unpacked(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  if (!(bytes[0] === 0x1f && bytes[1] === 0x8b)) return bytes;
  const parts: Uint8Array[] = [];
  let total = 0;
  const reader = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('gzip'))
    .getReader();
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new UserError(`The packed file is damaged: ${name}; fetch it again`);
    });
    if (done) break;
    total += value.length;
    if (total > maxBytes) {
      await reader.cancel();
      throw new UserError(`The file unpacks to more than 1 GiB: ${name}; use a part of it`);
    }
    parts.push(value);
  }
  const whole = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
