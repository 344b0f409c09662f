// Binary frames of the push channel: the twin of admin/frames.py. Planes are wrapped in place, nothing is parsed.
export const SNAP = 1;
export const DELTA = 2;
const MAGIC = 0x504c4353; // "SCLP", little-endian
const HEADER = 24;

/** {type, seq, tsMs, n, ids: Uint16Array, plane(k): Int32Array} of one frame; throws on anything else. */
export function decode(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER || view.getUint32(0, true) !== MAGIC || view.getUint16(4, true) !== 1) {
    throw new Error("not a hot-list frame of version 1");
  }
  const n = view.getUint32(20, true);
  const start = HEADER + ((2 * n + 3) >> 2) * 4;
  return {
    type: view.getUint16(6, true),
    seq: view.getUint32(8, true),
    tsMs: Number(view.getBigUint64(12, true) / 1000000n),
    n,
    ids: new Uint16Array(buffer, HEADER, n),
    plane: (k) => new Int32Array(buffer, start + 4 * n * k, n),
  };
}
