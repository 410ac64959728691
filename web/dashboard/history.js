// SPDX-License-Identifier: Apache-2.0
// Keeps the last snapshots, and for each model a point for each time between two of them.
import {activity_between, batches_between} from "./statistics.js";

export const WINDOW_S = 120;
const BATCH_WINDOW_S = 60;
// Names may hold anything; a list in JSON cannot be mistaken for another.
export const key_of = (model) => JSON.stringify([model.name, model.version]);

export class History {
  constructor() { this.clear(); }

  clear() {
    this.snapshot = null;
    this.before = null;
    this.models = new Map();  // key -> {points: [], batches: [{at_s, batches}]}
    this.memory = [];
  }

  // A gap: lines do not go on over it.
  break_lines() {
    if (!this.snapshot) return;
    const at_s = this.snapshot.now_us / 1e6 + 0.001;
    for (const kept of this.models.values()) kept.points.push({at_s});
    this.memory.push({at_s});
  }

  add(snapshot) {
    // The clock went back: another server answers now.
    if (this.snapshot && (snapshot.now_us < this.snapshot.now_us || snapshot.up_s < this.snapshot.up_s)) this.clear();
    this.before = this.snapshot;
    this.snapshot = snapshot;
    const at_s = snapshot.now_us / 1e6;
    const seconds = this.before ? at_s - this.before.now_us / 1e6 : 0;
    const earlier = new Map((this.before ? this.before.models : []).map((m) => [key_of(m), m]));
    const there = new Set();
    for (const model of snapshot.models) {
      const key = key_of(model);
      there.add(key);
      if (!this.models.has(key)) this.models.set(key, {points: [], batches: []});
      const kept = this.models.get(key);
      // Without an earlier snapshot there is no difference, only how things stand.
      if (seconds > 0) kept.points.push({at_s, ...activity_between(model, earlier.get(key), seconds)});
      kept.batches.push({at_s, batches: model.batches});
      this.forget(kept.points, at_s - WINDOW_S - 2);
      this.forget(kept.batches, at_s - BATCH_WINDOW_S);
    }
    for (const key of this.models.keys()) if (!there.has(key)) this.models.delete(key);
    this.memory.push({at_s, resident: snapshot.resident_bytes, planned: snapshot.planned_bytes,
                      limit: snapshot.memory_limit_bytes || null});
    this.forget(this.memory, at_s - WINDOW_S - 2);
  }

  forget(list, before_s) {
    while (list.length > 1 && list[0].at_s < before_s) list.shift();
  }

  points(key) { return this.models.has(key) ? this.models.get(key).points : []; }

  latest(key) {
    const points = this.points(key);
    return points.length > 0 ? points[points.length - 1] : {};
  }

  // The batches of the last minute, or of as much of it as was seen; of all time at the first look.
  batches(key) {
    const kept = this.models.get(key);
    if (!kept || kept.batches.length === 0) return [];
    const last = kept.batches[kept.batches.length - 1];
    return batches_between(last.batches, kept.batches.length > 1 ? kept.batches[0].batches : []);
  }
}
