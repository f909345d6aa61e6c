/** Tells when the same team is open in a second window of this browser: each window says what it opens, and answers. */
type Message = { readonly opens?: string; readonly has?: string };

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
