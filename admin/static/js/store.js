// The hot list as typed arrays, indexed by symbol id. Frames write into it, painters read from it.
import { SNAP } from "./protocol.js";

const ROWS = 4096;

export class Table {
  constructor() {
    this.symbols = new Map();
    this.ids = [];
    this.present = new Uint8Array(ROWS);
    this.planes = [];
    this.columns = {};
    this.unknown = -(2 ** 31);
    this.nowMs = 0;
    this.newestSeen = -1;
    this.seq = -1;
    this.version = 0; // changes when rows come or go
  }

  describe(hello) {
    this.columns = Object.fromEntries(hello.columns.map((c) => [c.name, c]));
    this.unknown = hello.unknown;
    const planes = hello.columns.reduce((sum, c) => sum + c.planes, 0);
    this.planes = Array.from({ length: planes }, () => new Int32Array(ROWS));
    this.present.fill(0);
    this.ids = [];
    this.newestSeen = -1;
    this.enums = hello.enums;
  }

  setSymbols(list) {
    this.symbols = new Map(list.map((s) => [s.id, s]));
    this.version += 1;
  }

  apply(frame) {
    if (!this.planes.length) return;
    if (frame.type === SNAP) {
      this.present.fill(0);
      for (const id of frame.ids) this.present[id] = 1;
      this.ids = Array.from(frame.ids);
      this.version += 1;
    }
    this.planes.forEach((plane, k) => {
      const source = frame.plane(k);
      for (let i = 0; i < frame.n; i += 1) plane[frame.ids[i]] = source[i];
    });
    const seen = this.planes[this.columns.seen.first];
    for (let i = 0; i < frame.n; i += 1) this.newestSeen = Math.max(this.newestSeen, seen[frame.ids[i]]);
    this.seq = frame.seq;
  }

  /** Raw plane value of a single-plane column. */
  raw(name, id) {
    return this.planes[this.columns[name].first][id];
  }

  /** Scaled value, null when unknown. */
  value(name, id) {
    const raw = this.raw(name, id);
    return raw === this.unknown ? null : raw / this.columns[name].scale;
  }

  /** Last price in ticks: two words, exact up to 2^53. */
  ticks(id) {
    const first = this.columns.last.first;
    return this.planes[first + 1][id] * 4294967296 + (this.planes[first][id] >>> 0);
  }

  byte(name, id, place) {
    return (this.raw(name, id) >>> (8 * place)) & 255;
  }

  word(kind, value) {
    return this.enums?.[kind]?.[value] ?? String(value);
  }

  ageMs(id) {
    const seen = this.raw("seen", id);
    return seen < 0 ? null : Math.max(0, this.nowMs - seen);
  }
}
