/**
 * The device has no room for an allocation. Whoever can do with less (a smaller micro-batch, fewer slots) catches it and
 * tries again; elsewhere it ends as a sentence for the person.
 */
export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory';
  readonly bytes: number;
  constructor(bytes: number, where: string) {
    super(`out of memory: ${where} has no room for another ${(bytes / 2 ** 20).toFixed(0)} MiB`);
    this.bytes = bytes;
  }
}

/** Whether an error means that memory ran out, ours or the platform's own. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof OutOfMemory) return true;
  if (!(error instanceof Error)) return false;
  if (error instanceof RangeError) return /allocation|array length|array buffer/i.test(error.message);
  return /out of memory|GPUOutOfMemory/i.test(`${error.name} ${error.message}`);
}
