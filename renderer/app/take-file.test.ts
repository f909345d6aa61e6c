import { describe, expect, it } from 'vitest';
import { newsOf } from './news.ts';
import { takeFiles } from './take-file.ts';

function taker() {
  const seen: string[] = [];
  return {
    seen,
    droppedModel: null as readonly File[] | null,
    bringTeam: (text: string | null) => void seen.push(`team ${text}`),
    notify: (level: string, text: string) => void seen.push(`${level} ${text}`),
    go: (route: { screen: string }) => void seen.push(`go ${route.screen}`),
  };
}

describe('a file from outside', () => {
  it('is drawn when it is a team and offered when it is a model', async () => {
    const session = taker();
    await takeFiles(session, [new File(['{}'], 'Mine.Troupe.JSON')]);
    await takeFiles(session, [new File(['GGUF'], 'tiny.gguf')]);
    expect(session.seen).toEqual(['team {}', 'go models']);
    expect(session.droppedModel?.map(({ name }) => name)).toEqual(['tiny.gguf']);
  });
  it('belongs to a model where weights were dropped with it', async () => {
    const session = taker();
    const names = ['config.json', 'tokenizer.json', 'model.safetensors'];
    await takeFiles(
      session,
      names.map((name) => new File(['{}'], name)),
    );
    expect(session.seen).toEqual(['go models']);
    expect(session.droppedModel?.map(({ name }) => name)).toEqual(names);
  });
  it('is refused in a sentence when it is anything else, or far too large', async () => {
    const session = taker();
    await takeFiles(session, [
      new File(['x'], 'cat.jpg'),
      new File([new Uint8Array(8 * 1024 * 1024 + 1)], 'huge.json'),
    ]);
    expect(session.seen).toEqual([
      'error cat.jpg is no team file and no model; drop a .troupe.json, a .gguf file or a model’s folder',
      'error huge.json is too large for a team: 8388609 bytes; at most 8388608 are read',
    ]);
  });
});

describe('news from the desktop', () => {
  it('is taken only in its own shapes', () => {
    expect(newsOf({ kind: 'command', action: 'save', more: 1 })).toEqual({ kind: 'command', action: 'save' });
    expect(newsOf({ kind: 'team', name: 'a', text: '{}' })).toEqual({ kind: 'team', name: 'a', text: '{}' });
    for (const other of [
      null,
      7,
      {},
      { kind: 'command', action: 'constructor' },
      { kind: 'command' },
      { kind: 'team', name: 'a', text: 3 },
      { kind: 'notice', level: 'shout', text: 'x' },
    ])
      expect(newsOf(other)).toBeNull();
  });
});
