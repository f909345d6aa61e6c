/**
 * What becomes of files that a person drops or picks anywhere: a team is drawn, a model is offered, anything else is refused.
 * A model is one GGUF file, or a folder's files that were dropped as a folder or together.
 */
import { words } from '../words.ts';
import { isWeights } from '../models/model-files.ts';
import type { Session } from './session.svelte.ts';

/** Far above any team, far below what would stall the page. */
const TEAM_MAX_BYTES = 8 * 1024 * 1024;
const FILES_MOST = 64;
const TEAMS_MOST = 8;

type Taker = Pick<Session, 'bringTeam' | 'notify' | 'go' | 'droppedModel'>;

export async function takeFiles(session: Taker, files: readonly File[]): Promise<void> {
  if (files.some(({ name }) => isWeights(name))) {
    session.droppedModel = files;
    session.go({ screen: 'models' });
  } else for (const file of files.slice(0, TEAMS_MOST)) await takeFile(session, file);
}

async function takeFile(session: Taker, file: File): Promise<void> {
  const text = words.desktop.files;
  if (!/\.json$/i.test(file.name)) session.notify('error', text.notHere(file.name));
  else if (file.size > TEAM_MAX_BYTES) session.notify('error', text.tooLarge(file.name, file.size, TEAM_MAX_BYTES));
  else {
    const content = await file.text().catch(() => null);
    if (content === null) session.notify('error', text.unreadable(file.name));
    else session.bringTeam(content);
  }
}

/** Files of a drop, those of a dropped folder with its name before theirs; deeper folders are left out. */
export async function droppedFiles({ items, files }: DataTransfer): Promise<File[]> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (!entries.some(({ isDirectory }) => isDirectory)) return [...files].slice(0, FILES_MOST);
  const found = await Promise.all(entries.map((entry) => (entry.isDirectory ? inFolder(entry) : fileOf(entry))));
  return found.flat().slice(0, FILES_MOST);
}

async function inFolder(folder: FileSystemEntry): Promise<File[]> {
  const reader = (folder as FileSystemDirectoryEntry).createReader();
  const entries = await new Promise<FileSystemEntry[]>((settle) => reader.readEntries(settle, () => settle([])));
  const files = (await Promise.all(entries.slice(0, FILES_MOST).map((entry) => fileOf(entry)))).flat();
  for (const file of files) Object.defineProperty(file, 'webkitRelativePath', { value: `${folder.name}/${file.name}` });
  return files;
}

function fileOf(entry: FileSystemEntry): Promise<File[]> {
  if (!entry.isFile) return Promise.resolve([]);
  return new Promise((settle) =>
    (entry as FileSystemFileEntry).file(
      (file) => settle([file]),
      () => settle([]),
    ),
  );
}
