/** Entry of a JavaScript sandbox in browsers and Electron; the WebAssembly module is an asset of the build. */
import variant from '@jitl/quickjs-wasmfile-release-sync';
import wasmLocation from '@jitl/quickjs-wasmfile-release-sync/wasm?url';
import { newVariant } from 'quickjs-emscripten-core';
import { loadJavaScript } from './javascript.ts';
import { serveRuns } from './serve.ts';

serveRuns(
  {
    post: (message) => self.postMessage(message),
    listen: (receive) => self.addEventListener('message', (event) => receive(event.data)),
  },
  () => loadJavaScript(newVariant(variant, { wasmLocation })),
);
