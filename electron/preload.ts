/** Preload script of a visible window. */
import { bridge } from './bridge.ts';

bridge('screen');
