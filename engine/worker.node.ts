/** Entry of the terminal's engine worker (worker_threads): files by path, Node's threads, WebGPU through Dawn. */
import { parentPort } from 'node:worker_threads';
import './device/register.node.ts';
import './formats/source.node.ts';
import { hostEngine } from './host.ts';

if (!parentPort) throw new Error('worker.node.ts runs in a worker thread; start it with startNodeEngine');
const port = parentPort;
hostEngine({
  post: (message, transfer) => port.postMessage(message, transfer),
  listen: (receive) => void port.on('message', receive),
});
