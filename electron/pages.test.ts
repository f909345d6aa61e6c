import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOurs, pathOf, typeOf } from './pages.ts';

const base = '/opt/troupe/dist/renderer';

describe('addresses of the desktop pages', () => {
  it('maps pages, assets and the bare origin', () => {
    expect(pathOf('app://troupe/', base)).toBe(`${base}/index.html`);
    expect(pathOf('app://troupe/host.html', base)).toBe(`${base}/host.html`);
    expect(pathOf('app://troupe/assets/a%20b.js?x=1#y', base)).toBe(`${base}/assets/a b.js`);
  });

  it.each([
    'app://other/index.html',
    'file:///etc/passwd',
    'https://troupe/index.html',
    'app://troupe/%2e%2e%2f%2e%2e%2fetc/passwd',
    'app://troupe/..%2f..%2fpackage.json',
    'app://troupe/assets/..%5c..%5cpackage.json',
    'app://troupe/.stamp',
    'app://troupe/a%00.js',
    'app://troupe/C:/Windows',
    'app://troupe/%zz',
    'app://user:word@troupe/index.html',
    'not an address',
  ])('refuses %s', (address) => expect(pathOf(address, base)).toBeNull());

  it('never names a file outside the folder', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('..', '%2e%2e', '%2f', '/', '\\', '%5c', 'a', '.', '%00', 'x.js'), { maxLength: 12 }),
        (parts) => {
          const path = pathOf(`app://troupe/${parts.join('')}`, base);
          expect(path === null || path.startsWith(`${base}/`)).toBe(true);
          expect(path === null || !path.split('/').includes('..')).toBe(true);
        },
      ),
    );
  });

  it('knows its own windows and content types', () => {
    expect(isOurs('app://troupe/index.html')).toBe(true);
    expect(isOurs('app://troupe.example.org/')).toBe(false);
    expect(isOurs('javascript:alert(1)')).toBe(false);
    expect(typeOf('x/tfjs.wasm')).toBe('application/wasm');
    expect(typeOf('x/python.mjs')).toMatch(/^text\/javascript/);
    expect(typeOf('x/model.safetensors')).toBe('application/octet-stream');
  });
});
