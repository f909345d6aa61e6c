/** Preload script of the hidden window that owns the controller. */
import { bridge } from './bridge.ts';

bridge('host');
