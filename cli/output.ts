/**
 * What a command prints. People get text, on a terminal with a moving progress line; machines (`--json`) get one JSON object
 * a line on standard output and nothing else there.
 */
export type Output = {
  readonly json: boolean;
  /** A line for people; silent with --json. */
  say(line: string): void;
  /** An object for machines; silent without --json. */
  emit(event: Record<string, unknown>): void;
  /** Where a long job stands. Redrawn in place on a terminal; elsewhere a plain line when `line` is due. */
  progress(text: string, due: boolean): void;
  warn(line: string): void;
};

export function openOutput(json: boolean): Output {
  const live = !json && process.stderr.isTTY === true;
  let drawn = false;
  const clear = () => {
    if (drawn) process.stderr.write('\r\x1b[2K');
    drawn = false;
  };
  return {
    json,
    say: (line) => {
      clear();
      if (!json) process.stdout.write(`${line}\n`);
    },
    emit: (event) => {
      if (json) process.stdout.write(`${JSON.stringify(event)}\n`);
    },
    progress: (text, due) => {
      if (live) {
        process.stderr.write(`\r\x1b[2K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
        drawn = true;
      } else if (due && !json) process.stdout.write(`${text}\n`);
    },
    warn: (line) => {
      clear();
      process.stderr.write(`${line}\n`);
    },
  };
}

export function bar(done: number, total: number, width = 20): string {
  const filled = total === 0 ? 0 : Math.round((Math.min(done, total) / total) * width);
  return `[${'█'.repeat(filled)}${'░'.repeat(width - filled)}]`;
}

export function duration(ms: number | null): string {
  if (ms === null) return '–';
  const seconds = Math.round(ms / 1_000);
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function fixed(value: number | undefined, digits = 3): string {
  return value === undefined || !Number.isFinite(value) ? '–' : value.toFixed(digits);
}

/** Columns padded to their widest cell; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const text = rows.map((row) => row.map(String));
  const widths = text[0].map((_, column) => Math.max(...text.map((row) => row[column].length)));
  const right = (column: number) => rows.slice(1).every((row) => typeof row[column] === 'number');
  return text
    .map((row) =>
      row
        .map((cell, i) => (right(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
