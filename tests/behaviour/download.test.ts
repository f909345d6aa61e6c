/** `troupe models download`: a model from an endpoint, used at once; what is wrong is said in a sentence. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHub, type Hub } from '../hub.ts';
import { root, runTerminal } from '../program.ts';

describe('models download', () => {
  let folder: string;
  let hub: Hub;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-download-'));
    hub = await openHub(path.join(root, 'models/nano'));
  });
  afterAll(async () => {
    hub.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('fetches a model that then inspects like the one it is a copy of', async () => {
    const args = ['models', 'download', 'someone/nano', '--name', 'copy', '--endpoint', hub.address, '--json'];
    const ended = await runTerminal([...args, '--workspace', folder, '--device', 'cpu']);
    expect(ended.err).toBe('');
    expect(ended.code).toBe(0);
    const events = ended.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.at(-1)).toMatchObject({ event: 'done', model: { name: 'copy', info: { architecture: 'llama' } } });
    expect(events.filter(({ event }) => event === 'download').at(-1)).toMatchObject({
      state: 'done',
      endpoint: hub.address,
    });
    const again = await runTerminal([...args, '--workspace', folder, '--device', 'cpu']);
    expect(again.code).toBe(2);
    expect(again.err).toMatch(/There is a model of that name already: copy/);
  });

  it('refuses an endpoint that is not encrypted', async () => {
    const ended = await runTerminal([
      'models',
      'download',
      'a/b',
      '--endpoint',
      'http://example.org',
      '--workspace',
      folder,
    ]);
    expect(ended.code).toBe(2);
    expect(ended.err).toMatch(/over https only/);
  });
});
