/** Of work that takes minutes: lines that say how far a part is and when it may be done, and an end at Ctrl+C. */

const EVERY_MS = 10_000;

/** Says a line each ten seconds at most; a part's first is due ten seconds after it began. */
export function progressLines(
  say: (line: string) => void,
  now: () => number = () => performance.now(),
): (part: string, done: number, total: number) => void {
  let current = '';
  let [began, said] = [0, 0];
  return (part, done, total) => {
    const time = now();
    if (part !== current) {
      current = part;
      began = said = time;
    }
    if (time - said < EVERY_MS || done <= 0) return;
    said = time;
    const left = ((time - began) / done) * (total - done);
    say(`  ${part}: ${((100 * done) / total).toFixed(0)} %, about ${spell(left / 1000)} left of it`);
  };
}

function spell(seconds: number): string {
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

export type Interruptions = { cancelled(): boolean; end(): void };

/** From the first Ctrl+C on `cancelled` is true; the second ends the process, whatever it does. */
export function interruptions(say: (line: string) => void): Interruptions {
  let asked = false;
  const heard = (): void => {
    if (asked) process.exit(130);
    asked = true;
    say('stopping as soon as the device is done with what it has; Ctrl+C again ends at once');
  };
  process.on('SIGINT', heard);
  return { cancelled: () => asked, end: () => void process.off('SIGINT', heard) };
}
