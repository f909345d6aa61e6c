/** Hands files to the person through the browser's own download; several files keep a common prefix. */
export function saveFiles(files: readonly { name: string; bytes: Uint8Array }[], prefix: string): void {
  for (const { name, bytes } of files) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]));
    link.download = `${prefix}-${name.replaceAll('/', '-')}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}
