import { describe, expect, it } from 'vitest';
import { installReason } from './install.mjs';

const lock = (packages) => JSON.stringify({ packages });

describe('whether an installation is needed', () => {
  const wanted = lock({
    '': {},
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '2.0.0', optional: true },
  });

  it('says so when nothing, too little or another version is installed', () => {
    expect(installReason(wanted, null)).toMatch(/nothing/);
    expect(installReason(wanted, lock({}))).toBe('a is missing');
    expect(installReason(wanted, lock({ 'node_modules/a': { version: '0.9.0' } }))).toBe('a is 0.9.0, wanted 1.0.0');
  });

  it('is content without packages of other platforms', () => {
    expect(installReason(wanted, lock({ 'node_modules/a': { version: '1.0.0' } }))).toBeNull();
  });
});
