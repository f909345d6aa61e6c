/** Dark, light, or what the system says; remembered, and applied before the first picture. */
import { recall, remember } from './remember.ts';

export type ThemeChoice = 'system' | 'dark' | 'light';
export const themeChoices: readonly ThemeChoice[] = ['system', 'dark', 'light'];

function isThemeChoice(value: unknown): value is ThemeChoice {
  return themeChoices.some((choice) => choice === value);
}

export function resolveTheme(choice: ThemeChoice, systemIsDark: boolean): 'dark' | 'light' {
  return choice === 'system' ? (systemIsDark ? 'dark' : 'light') : choice;
}

export function rememberedTheme(): ThemeChoice {
  return recall('theme', isThemeChoice) ?? 'system';
}

const darkSystem = '(prefers-color-scheme: dark)';

export function applyTheme(choice: ThemeChoice): void {
  const theme = resolveTheme(choice, matchMedia(darkSystem).matches);
  if (document.documentElement.dataset.theme !== theme) document.documentElement.dataset.theme = theme;
}

export function chooseTheme(choice: ThemeChoice): void {
  remember('theme', choice);
  applyTheme(choice);
}

/** Calls back whenever the applied theme changes; canvases must read their colours again. Returns the way to stop. */
export function onThemeChange(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  return () => observer.disconnect();
}

export function followSystemTheme(choice: () => ThemeChoice): void {
  matchMedia(darkSystem).addEventListener('change', () => applyTheme(choice()));
}

/** A colour token as a canvas can use it. */
export function colour(token: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${token}`).trim();
}
