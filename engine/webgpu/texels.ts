/**
 * Buffers read as textures. An adapter emulated on the CPU checks and loads every number of a buffer by itself for each
 * thread, but a texel's four numbers at once: on llvmpipe a product that reads its operands so takes two thirds of the
 * time, and the copy into the texture a hundredth. Numbers go line by line, four a texel, whatever their matrix's shape.
 * Half floats come out of their texture as floats.
 */
import type { Bound } from './gpu.ts';

/** Texels of a line: 64 KiB of floats, so that the longest texture every device makes holds half a gibibyte of them. */
export const TEXELS_ACROSS = 4096;

/** Of one texture, as floats. */
export const mostTexelBytes = ({ maxTextureDimension2D }: GPUSupportedLimits): number =>
  maxTextureDimension2D * TEXELS_ACROSS * 16;

/** Fills a texture with so many numbers, a multiple of 4, before a dispatch reads it. */
export type TexelLoad = {
  readonly from: Bound;
  readonly numbers: number;
  /** Of a number. */
  readonly bytes: 2 | 4;
  readonly to: GPUTexture;
};

export function encodeTexelLoad(encoder: GPUCommandEncoder, { from, numbers, bytes, to }: TexelLoad): void {
  const bytesPerRow = TEXELS_ACROSS * 4 * bytes;
  const { buffer, offset = 0 } = 'buffer' in from ? from : { buffer: from };
  const texels = numbers / 4;
  const lines = Math.floor(texels / TEXELS_ACROSS);
  const rest = texels % TEXELS_ACROSS;
  if (lines > 0) encoder.copyBufferToTexture({ buffer, offset, bytesPerRow }, { texture: to }, [TEXELS_ACROSS, lines]);
  if (rest > 0)
    encoder.copyBufferToTexture(
      { buffer, offset: offset + lines * bytesPerRow, bytesPerRow },
      { texture: to, origin: [0, lines] },
      [rest, 1],
    );
}

/** A texture for each slot, as large as its largest load so far, filled anew for every dispatch that reads it. */
export class Texels {
  readonly #device: GPUDevice;
  readonly #made = new Map<string, GPUTexture>();
  readonly #outgrown: GPUTexture[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** One that holds so many numbers of so many bytes. */
  of(name: string, numbers: number, bytes: 2 | 4): GPUTexture {
    const slot = `${name} ${bytes}`;
    const lines = Math.ceil(numbers / 4 / TEXELS_ACROSS);
    const known = this.#made.get(slot);
    if (known && known.height >= lines) return known;
    if (known) this.#outgrown.push(known);
    const texture = this.#device.createTexture({
      ...{ size: [TEXELS_ACROSS, lines], format: bytes === 2 ? 'rgba16float' : 'rgba32float' },
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    });
    this.#made.set(slot, texture);
    return texture;
  }

  /** Once everything recorded is submitted, or never will be. */
  settle(): void {
    for (const texture of this.#outgrown.splice(0)) texture.destroy();
  }

  dispose(): void {
    this.settle();
    for (const texture of this.#made.values()) texture.destroy();
    this.#made.clear();
  }
}
