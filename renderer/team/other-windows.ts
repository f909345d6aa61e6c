/**
 * A team that is open in several windows of this browser belongs to the first: it alone writes the journal, so that two
 * windows never mix their steps. Each window says what it opens, and is told of the others.
 */
type Message = { readonly opens?: string; readonly has?: string };

/** Whether the team is this window's, and the way to let it go; it goes by itself when the window does. */
export type Hold = { readonly first: boolean; readonly release: () => void };

export function holdTeam(team: string): Promise<Hold> {
  return new Promise((settle) => {
    const alone: Hold = { first: true, release: () => {} };
    if (!('locks' in navigator)) return settle(alone);
    navigator.locks
      .request(`troupe-team ${team}`, { ifAvailable: true }, (lock) => {
        if (lock === null) return settle({ first: false, release: () => {} });
        return new Promise<void>((release) => settle({ first: true, release }));
      })
      .catch(() => settle(alone)); // a page without storage has no locks, and no journal to guard
  });
}

/** `onOther` is called once for each meeting; returns the way to stop listening. */
export function watchOtherWindows(team: string, onOther: () => void): () => void {
  const channel = new BroadcastChannel('troupe-team');
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.opens === team) channel.postMessage({ has: team } satisfies Message);
    if (data.opens === team || data.has === team) onOther();
  };
  channel.postMessage({ opens: team } satisfies Message);
  return () => channel.close();
}
