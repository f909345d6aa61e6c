/**
 * Keys of services: from the environment first, else from the system's own key store. What lies on disk is encrypted with
 * a key that only that store has, and belongs to one name and one origin: no other address is ever sent it.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../engine/errors.ts';
import type { KeyPlace } from '../workflows/protocol.ts';

/** Electron's `safeStorage`, as far as it is needed. */
export type Vault = {
  isEncryptionAvailable(): boolean;
  /** Linux alone; `basic_text` is no encryption worth the name. */
  getSelectedStorageBackend?(): string;
  encryptString(text: string): Buffer;
  decryptString(encrypted: Buffer): string;
};

export type Keys = {
  read(name: string, origin: string): Promise<string | undefined>;
  place(name: string, origin: string): Promise<Exclude<KeyPlace, 'nowhere'>>;
  keep(name: string, origin: string, key: string): Promise<void>;
};

const longestKey = 10_000;

export function openKeys(path: string, vault: Vault, environment: Readonly<Record<string, string | undefined>>): Keys {
  const kept = async (): Promise<Record<string, string>> => {
    const text = await readFile(path, 'utf8').catch(() => '{}');
    try {
      return JSON.parse(text) as Record<string, string>;
    } catch {
      return {};
    }
  };
  const place: Keys['place'] = async (name, origin) => {
    if (environment[name]) return 'environment';
    return typeof (await kept())[`${origin} ${name}`] === 'string' ? 'kept' : 'missing';
  };
  return {
    place,
    read: async (name, origin) => {
      const found = await place(name, origin);
      if (found === 'environment') return environment[name];
      if (found === 'missing' || !isSafe(vault)) return undefined;
      try {
        return vault.decryptString(Buffer.from((await kept())[`${origin} ${name}`], 'base64'));
      } catch {
        return undefined; // kept by another user or on another machine: as good as not there
      }
    },
    keep: async (name, origin, key) => {
      if (!isSafe(vault))
        throw new UserError(
          `This system has no key store that Troupe could use, and keys are not written into files; set ${name} in the environment and start again`,
        );
      if (key.trim() === '' || key.length > longestKey)
        throw new UserError(`A key has from 1 to ${longestKey} characters: ${key.trim().length}; paste it again`);
      const encrypted = vault.encryptString(key.trim()).toString('base64');
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, JSON.stringify({ ...(await kept()), [`${origin} ${name}`]: encrypted }), { mode: 0o600 });
    },
  };
}

function isSafe(vault: Vault): boolean {
  return vault.isEncryptionAvailable() && vault.getSelectedStorageBackend?.() !== 'basic_text';
}
