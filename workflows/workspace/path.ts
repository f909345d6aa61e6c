/** Checks that a workspace path stays inside the workspace: forward slashes, no "..", no absolute or drive path. */
import { UserError } from '../../engine/errors.ts';

export function pathParts(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  const bad = path.startsWith('/') || /[\\:\0]/.test(path) || parts.some((part) => part === '.' || part === '..');
  if (bad) throw new UserError(`Path leaves the workspace: ${path}; use a relative path with forward slashes`);
  return parts;
}

/** The same for what is to be written, moved or removed: it must not be the workspace itself. */
export function entryParts(path: string): string[] {
  const parts = pathParts(path);
  if (parts.length === 0) throw new UserError(`This path names no file or folder in the workspace: "${path}"`);
  return parts;
}
