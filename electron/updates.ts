/**
 * Newer versions. Off unless an address was built into the program: no feed, no request. What is found is offered once,
 * downloaded when wanted and put in place when the person quits, so that no training is interrupted.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** As much of electron-updater as is used. */
export type Updater = {
  autoDownload: boolean;
  autoInstallOnAppQuit: boolean;
  logger: unknown;
  on(event: 'update-available', listener: (info: { version: string }) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  checkForUpdates(): Promise<unknown>;
  downloadUpdate(): Promise<unknown>;
};

const everyMs = 24 * 3_600_000;

/** Whether the packer wrote an address beside the program. */
export function hasFeed(resources: string): boolean {
  return existsSync(join(resources, 'app-update.yml'));
}

/** Looks now and once a day; a feed that cannot be reached is no news. Returns the way to stop. */
export function watchUpdates(updater: Updater, wanted: (version: string) => Promise<boolean>): () => void {
  updater.autoDownload = false;
  updater.autoInstallOnAppQuit = true;
  updater.logger = null;
  const refused = new Set<string>();
  updater.on('error', () => {});
  updater.on('update-available', ({ version }) => {
    if (refused.has(version)) return;
    refused.add(version);
    void wanted(version)
      .then((yes) => (yes ? updater.downloadUpdate() : null))
      .catch(() => {});
  });
  const look = (): void => void updater.checkForUpdates().catch(() => {});
  look();
  const timer = setInterval(look, everyMs);
  return () => clearInterval(timer);
}
