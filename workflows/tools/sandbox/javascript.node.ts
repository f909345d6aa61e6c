/** Entry of a JavaScript sandbox under Node (worker_threads). */
import variant from '@jitl/quickjs-wasmfile-release-sync';
import { loadJavaScript } from './javascript.ts';
import { serveNodeThread } from './thread.node.ts';

serveNodeThread(() => loadJavaScript(variant));
