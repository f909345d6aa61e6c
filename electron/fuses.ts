/**
 * Electron's switches that are burnt into a packaged program, so that no argument or environment variable turns them back:
 * the program cannot be run as plain Node, takes no Node options or inspector, and loads only its own archive.
 * Source: https://www.electronjs.org/docs/latest/tutorial/fuses
 */
import { FuseV1Options, FuseVersion, type FuseConfig } from '@electron/fuses';

export const fuses: FuseConfig = {
  version: FuseVersion.V1,
  // macOS runs only a signed program, and changing the fuses breaks the signature.
  resetAdHocDarwinSignature: process.platform === 'darwin',
  [FuseV1Options.RunAsNode]: false,
  [FuseV1Options.EnableCookieEncryption]: true,
  [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: false,
  [FuseV1Options.EnableNodeCliInspectArguments]: false,
  [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: true,
  [FuseV1Options.OnlyLoadAppFromAsar]: true,
  [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: false,
  [FuseV1Options.GrantFileProtocolExtraPrivileges]: false,
};
