import { describe, expect, it } from 'vitest';
import { backportsSource } from './debian.mjs';

describe('the backports source', () => {
  it('copies the machine’s own stanza with another suite', () => {
    const own =
      'Types: deb\nURIs: https://mirror.invalid/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\nTypes: deb\nURIs: https://mirror.invalid/security\nSuites: bookworm-security\nComponents: main\n';
    expect(backportsSource(['Types: deb\nSuites: nodistro\n', own], 'bookworm')).toBe(
      'Types: deb\nURIs: https://mirror.invalid/debian\nSuites: bookworm-backports\nComponents: main\nSigned-By: /k.gpg\n',
    );
  });

  it('reads the one-line form', () => {
    const own = 'deb [arch=amd64 signed-by=/k.gpg] https://mirror.invalid/debian bookworm main contrib\n';
    expect(backportsSource([own], 'bookworm')).toBe(
      'Types: deb\nURIs: https://mirror.invalid/debian\nSuites: bookworm-backports\nComponents: main contrib\nSigned-By: /k.gpg\n',
    );
  });

  it('gives nothing where the suite has no source', () => {
    expect(backportsSource(['Types: deb\nSuites: bookworm-security\n'], 'bookworm')).toBeNull();
  });
});
