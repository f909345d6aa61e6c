/**
 * A button from which something is pulled. The canvas below listens to raw mouse and touch events on its container, so
 * these must end at the button itself, which Svelte's delegated handlers are too late for.
 */
export function pullable(node: HTMLElement, start: (event: PointerEvent) => void): { destroy(): void } {
  const stop = (event: Event): void => event.stopPropagation();
  const down = (event: PointerEvent): void => {
    event.stopPropagation();
    if (event.button === 0) start(event);
  };
  node.addEventListener('pointerdown', down);
  node.addEventListener('mousedown', stop);
  node.addEventListener('touchstart', stop, { passive: true });
  return {
    destroy: () => {
      node.removeEventListener('pointerdown', down);
      node.removeEventListener('mousedown', stop);
      node.removeEventListener('touchstart', stop);
    },
  };
}
