/**
 * Where the person is, as an address: `#/training/<run>`. The address is the only place this is kept, so back, forward,
 * reload and a copied link all work. Unknown addresses lead home.
 */
export type Screen = 'home' | 'team' | 'traces' | 'training' | 'models';

export type Route =
  | { readonly screen: 'home' }
  | { readonly screen: 'team'; readonly workflow: string | null }
  /** With `compare` the table of all runs, those named side by side below it. */
  | { readonly screen: 'training'; readonly run: string | null; readonly compare?: readonly string[] }
  | {
      readonly screen: 'traces';
      readonly run: string | null;
      readonly trace: string | null;
      readonly step: number | null;
    }
  | { readonly screen: 'models' };

export const screens: readonly Screen[] = ['home', 'team', 'traces', 'training', 'models'];

function decoded(part: string | undefined): string | null {
  if (!part) return null;
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

function stepOf(query: string): number | null {
  const text = new URLSearchParams(query).get('step');
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

function comparedOf(query: string): { compare?: string[] } {
  const text = new URLSearchParams(query).get('compare');
  return text === null ? {} : { compare: [...new Set(text.split(',').filter(Boolean))] };
}

export function parseRoute(hash: string): Route {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [screen, first, second] = path.split('/');
  switch (screen) {
    case 'team':
      return { screen, workflow: decoded(first) };
    case 'training':
      return { screen, run: decoded(first), ...comparedOf(query) };
    case 'traces':
      return { screen, run: decoded(first), trace: decoded(second), step: stepOf(query) };
    case 'models':
      return { screen };
    default:
      return { screen: 'home' };
  }
}

function joined(...parts: (string | null)[]): string {
  const kept = parts.filter((part) => part !== null);
  return `#/${kept.map(encodeURIComponent).join('/')}`;
}

export function routeHash(route: Route): string {
  switch (route.screen) {
    case 'home':
    case 'models':
      return joined(route.screen);
    case 'team':
      return joined('team', route.workflow);
    case 'training':
      return (
        joined('training', route.run) +
        (route.compare === undefined ? '' : `?compare=${route.compare.map(encodeURIComponent).join(',')}`)
      );
    case 'traces':
      return (
        joined('traces', route.run, route.run === null ? null : route.trace) +
        (route.step === null ? '' : `?step=${route.step}`)
      );
  }
}
