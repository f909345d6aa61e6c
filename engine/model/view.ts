/**
 * Named tensors cut out of one flat variable. Where tfjs computes on the CPU a cut is a view: it borrows the flat
 * variable's memory, costs nothing and follows in-place updates; on a GPU it is a copy. A view must not outlive its owner.
 */
import * as tf from '@tensorflow/tfjs';

/** What we use of the wasm backend; see tfjs-backend-wasm, backend_wasm.ts. */
type WasmBackend = {
  dataIdMap: { get(id: object): WasmData | undefined; delete(id: object): boolean };
  wasm: { tfjs: { disposeData(id: number): void } };
  makeOutput(shape: number[], dtype: string, memoryOffset: number): tf.TensorInfo;
  disposeData(id: object, force?: boolean): boolean;
};
type WasmData = { id: number; memoryOffset: number; refCount: number; borrowed?: true };

const prepared = new WeakSet<object>();

/** flat[offset … offset + size) as a tensor of that shape; the caller disposes it. */
export function cutView(flat: tf.Tensor1D, offset: number, shape: readonly number[]): tf.Tensor {
  const size = shape.reduce((product, d) => product * d, 1);
  switch (tf.getBackend()) {
    case 'wasm':
      return wasmView(flat, offset, [...shape]);
    case 'cpu':
      // The cpu backend keeps the array it is given, so a subarray stays tied to the flat variable's own.
      return tf.tensor((flat.dataSync() as Float32Array).subarray(offset, offset + size), [...shape]);
    default:
      return tf.tidy(() => tf.reshape(tf.slice1d(flat, offset, size), [...shape]));
  }
}

function wasmView(flat: tf.Tensor1D, offset: number, shape: number[]): tf.Tensor {
  const backend = tf.backend() as unknown as WasmBackend;
  prepare(backend);
  const owner = backend.dataIdMap.get(flat.dataId);
  if (!owner) throw new Error('the flat variable is not on this backend');
  const info = backend.makeOutput(shape, 'float32', owner.memoryOffset + offset * 4);
  backend.dataIdMap.get(info.dataId)!.borrowed = true;
  return tf.engine().makeTensorFromDataId(info.dataId, shape, 'float32', tf.backend());
}

/** Teaches a wasm backend not to free memory that a tensor only borrows. */
function prepare(backend: WasmBackend): void {
  if (prepared.has(backend)) return;
  prepared.add(backend);
  const dispose = backend.disposeData.bind(backend);
  backend.disposeData = (id, force = false) => {
    const data = backend.dataIdMap.get(id);
    if (!data?.borrowed) return dispose(id, force);
    data.refCount--;
    if (!force && data.refCount > 0) return false;
    backend.wasm.tfjs.disposeData(data.id);
    backend.dataIdMap.delete(id);
    return true;
  };
}
