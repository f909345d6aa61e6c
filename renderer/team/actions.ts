/**
 * What can be done with a thing on the canvas or in the outline, for its menu: only what works there now. The names are those
 * of the shortcuts where there is one, so that the menu can show the keys.
 */
import { shortcuts, type ShortcutAction } from '../app/shortcuts.ts';
import { words } from '../words.ts';
import type { Choice } from './new-node.ts';

export type Action = ShortcutAction | 'open-group' | 'run-here' | 'run-node' | 'insert-node';

/** What the menu is of. */
export type Target = { readonly kind: 'node' | 'wire' | 'canvas' };

export type Facts = {
  readonly several: boolean;
  readonly kind: string | null;
  readonly pinned: boolean;
  /** Whether it gave something in the last run. */
  readonly known: boolean;
  readonly running: boolean;
  readonly empty: boolean;
};

export function actionsFor(target: Target, facts: Facts): Action[] {
  if (target.kind === 'wire') return ['insert-node', 'delete-node'];
  if (target.kind === 'canvas')
    return ['add-node', 'paste', ...(facts.empty ? [] : (['select-all', 'tidy', 'fit-view'] as const))];
  const many: Action[] = ['group', 'duplicate', 'copy', 'cut', 'fit-selection', 'delete-node'];
  if (facts.several) return many;
  const runs = !facts.running && facts.kind !== 'output';
  return [
    ...(facts.kind === 'workflow' ? (['open-group', 'ungroup'] as const) : []),
    ...(runs ? (['run-here'] as const) : []),
    ...(runs && facts.known ? (['run-node'] as const) : []),
    ...(facts.pinned || facts.known ? (['pin-result'] as const) : []),
    'connect',
    'rename-node',
    'duplicate',
    'copy',
    'cut',
    'fit-selection',
    'delete-node',
  ];
}

/** As the menu shows them. `keys` writes a shortcut as a person sees it. */
export function shownActions(actions: readonly Action[], keys: (action: ShortcutAction) => string): Choice[] {
  const text = words.team.menu;
  return actions.map((id) => {
    const own: Readonly<Partial<Record<string, string>>> = text.actions;
    const shortcut = shortcuts.find((one) => one.action === id)?.action;
    return {
      id,
      label: own[id] ?? words.shortcuts.actions[id as ShortcutAction],
      detail: shortcut ? keys(shortcut) : '',
    };
  });
}
