/** Hands files to the person through the browser's own download: one as it is, a folder as one ZIP that unpacks to it. */
import { zip } from './zip.ts';

export function saveFolder(folder: string, files: readonly { name: string; bytes: Uint8Array }[]): void {
  save(`${folder}.zip`, zip(files.map(({ name, bytes }) => ({ name: `${folder}/${name}`, bytes }))));
}

export function saveText(name: string, text: string, type = 'application/json'): void {
  save(name, new Blob([text], { type }));
}

export function saveBytes(name: string, bytes: Uint8Array<ArrayBuffer>, type: string): void {
  save(name, new Blob([bytes], { type }));
}

/** Lines need not be joined in memory first. */
export function saveLines(name: string, lines: readonly string[]): void {
  save(
    name,
    new Blob(
      lines.flatMap((line) => [line, '\n']),
      { type: 'application/jsonl' },
    ),
  );
}

function save(name: string, content: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
