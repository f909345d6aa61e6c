/**
 * What is on disk, behind one small interface: the terminal's file system, a browser's OPFS and the desktop's main process
 * all answer it. Paths are relative to the workspace, with forward slashes; a path that leaves it is refused.
 */
export interface Store {
  read(path: string): Promise<Uint8Array>;
  /** Part of a large file. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>;
  /** Atomic: the old file or the new one, never half of either (write aside, flush, rename). Makes folders. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Adds one line and flushes it. */
  append(path: string, line: string): Promise<void>;
  /** Adds bytes to a file's end and flushes them; makes the file, and folders. */
  extend(path: string, bytes: Uint8Array): Promise<void>;
  /** Names in a folder, sorted; empty when there is none. Folders end in "/". */
  list(path: string): Promise<string[]>;
  /** null when absent. */
  stat(path: string): Promise<{ size: number; modifiedMs: number } | null>;
  remove(path: string): Promise<void>;
  /** Atomic replace of `to`, file or folder. */
  move(from: string, to: string): Promise<void>;
  /** Takes `path` for this process until `release` or its end, however it ends; false where another has it. */
  claim(path: string): Promise<boolean>;
  release(path: string): Promise<void>;
}
