/** Cards and wires for tests of the graph: a goes to b, b to c and c back to b. */
import type { SceneCard, SceneWire } from './scene.ts';

export const card = (id: string, width = 100): SceneCard => ({ id, label: id, width, height: 40 });
export const wire = (from: string, to: string): SceneWire => ({ id: `${from}>${to}`, from, to });

export const cards = ['a', 'b', 'c'].map((id) => card(id));
export const wires = [wire('a', 'b'), wire('b', 'c'), wire('c', 'b')];
