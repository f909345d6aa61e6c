/** How far this person had curves smoothed last. */
import { recall, remember } from '../app/remember.ts';
import { reaches } from './smooth.ts';

export function recallReach(): number {
  return recall('smoothing', (value): value is number => reaches.some((one) => one === value)) ?? 0;
}

export function rememberReach(reach: number): void {
  remember('smoothing', reach);
}
