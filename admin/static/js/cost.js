// What an update costs: scripting time of each, as performance measures (visible in a profiler) and as a percentile.
const KEEP = 256;

export class Cost {
  constructor(name) {
    this.name = name;
    this.durations = [];
    this.count = 0;
  }

  add(start, duration) {
    performance.measure(this.name, { start, duration });
    this.durations[this.count % KEEP] = duration;
    this.count += 1;
    if (this.count % KEEP === 0) performance.clearMeasures(this.name); // the browser would keep them for ever
  }

  /** Quantile of the last durations in ms; null before the first. */
  percentile(share) {
    if (!this.durations.length) return null;
    const sorted = [...this.durations].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  }
}
