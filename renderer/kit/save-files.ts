/** Hands a folder of files to the person through the browser's own download, as one ZIP that unpacks to that folder. */
import { zip } from './zip.ts';

export function saveFolder(folder: string, files: readonly { name: string; bytes: Uint8Array }[]): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(zip(files.map(({ name, bytes }) => ({ name: `${folder}/${name}`, bytes }))));
  link.download = `${folder}.zip`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
