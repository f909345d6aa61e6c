/** Entry of the browser's and the desktop's engine worker. */
import './device/register.web.ts';
import { webWire, type WebPort } from './client.ts';
import { hostEngine } from './host.ts';

hostEngine(webWire(globalThis as unknown as WebPort));
