import { describe, expect, it } from 'vitest';
import { fit, ranked, type PaletteItem } from './palette.ts';

function item(label: string, detail = ''): PaletteItem {
  return { id: label, kind: 'action', label, detail, run: () => {} };
}

describe('palette', () => {
  it('finds letters in order and nothing else', () => {
    expect(fit('trn', 'Training')).not.toBeNull();
    expect(fit('nrt', 'Training')).toBeNull();
  });
  it('puts beginnings of words and runs of letters first', () => {
    const names = ranked([item('Contrast theme'), item('Open QD-Answer'), item('Training'), item('Traces')], 'tra').map(
      (found) => found.label,
    );
    expect(names.slice(0, 2).sort()).toEqual(['Traces', 'Training']);
  });
  it('also looks at the detail, after the labels', () => {
    const names = ranked([item('21 Nov 14:02', 'village-qa'), item('Village')], 'village').map((found) => found.label);
    expect(names).toEqual(['Village', '21 Nov 14:02']);
  });
  it('offers everything for an empty query', () => {
    expect(ranked([item('a'), item('b')], '  ')).toHaveLength(2);
  });
});
