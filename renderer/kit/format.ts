/** Numbers, sizes and times as people read them. Pure text; no words that would need another place than this and words.ts. */

export function bytes(count: number): string {
  if (!Number.isFinite(count)) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** 493 → "493", 1,234,567 → "1.2 M". */
export function count(value: number): string {
  if (value >= 999_500_000) return `${(value / 1e9).toFixed(1)} B`;
  if (value >= 999_500) return `${(value / 1e6).toFixed(value < 9.95e6 ? 2 : 0)} M`;
  return Math.round(value).toLocaleString('en');
}

/** A score in [0, 1] or a small signed number, without a leading zero lost: 0.34, 1.00. */
export function score(value: number | null | undefined, digits = 2): string {
  return value === null || value === undefined || !Number.isFinite(value) ? '–' : value.toFixed(digits);
}

export function signed(value: number | null | undefined, digits = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? '−' : '+'}${text}`;
}

/** Up to four significant digits, for metrics of unknown size. */
export function metric(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 100) return Math.round(value).toLocaleString('en');
  if (size >= 1) return value.toFixed(2);
  if (size >= 0.001) return value.toFixed(4);
  return value.toExponential(1);
}

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** "1.4 s" where tenths matter, else as a duration. */
export function shortTime(ms: number): string {
  return ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : duration(ms);
}

/** To the second up to an hour: "1.4 s", "3 min 20 s", "2 h 05 min". */
export function elapsed(ms: number): string {
  if (ms < 60_000) return ms > 0 && ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 1_000)} s`;
  if (ms >= 3_599_500) return duration(ms);
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** "21 Nov 14:02:10": in the person's own time zone. */
export function clockTime(ms: number): string {
  const date = new Date(ms);
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${date.toLocaleTimeString('en-GB')}`;
}

/** "today 14:02", "20 Nov 09:15": in the person's own time zone. */
export function when(iso: string, now = new Date()): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const time = date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
  if (date.toDateString() === now.toDateString()) return `today ${time}`;
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}

/** One line of at most `length` characters. */
export function shortened(text: string, length: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= length ? line : `${line.slice(0, Math.max(1, length - 1)).trimEnd()}…`;
}

/** A JSON value as a person would write it: strings bare, lists by line. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join('\n');
  if (Array.isArray(value) && value.every(isPassage))
    return value.map((item) => `${item.title}: ${item.text}`).join('\n');
  return JSON.stringify(value, null, 1) ?? String(value);
}

function isPassage(value: unknown): value is { title: string; text: string } {
  return typeof value === 'object' && value !== null && 'title' in value && 'text' in value;
}
