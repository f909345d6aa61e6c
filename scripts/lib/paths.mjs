/** Where things stand in the repository, for the scripts of this folder. */
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const modules = join(root, 'node_modules');
export const rendererOut = join(root, 'dist/renderer');
export const electronOut = join(root, 'dist/electron');
/** Outlives a fresh node_modules folder: holds the development Electron and what is remembered between starts. */
export const cache = process.env.TROUPE_CACHE ?? join(homedir(), '.cache', 'troupe');
/** The JavaScript file behind a locally installed command. */
export const bin = (path) => join(modules, path);
