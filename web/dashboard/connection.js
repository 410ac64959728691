// SPDX-License-Identifier: Apache-2.0
// Speaks to the server that this page came from, with the key where one is needed.

const KEY = "batchwise_key";
const POLL_MS = 1000, LONGEST_WAIT_MS = 8000, TIMEOUT_MS = 5000;

// Storage may be forbidden; the key then lives as long as the page.
let kept_key = "";
const stored_key = () => {
  try { return sessionStorage.getItem(KEY) || kept_key; } catch { return kept_key; }
};
export const keep_key = (key) => {
  kept_key = key;
  try { sessionStorage.setItem(KEY, key); } catch { /* as above */ }
};
export const has_key = () => stored_key() !== "";

// Paths are relative: behind a proxy the page may lie deeper.
export const ask = (path, options = {}) => {
  const headers = new Headers(options.headers);
  // A header cannot carry every character; the server would refuse such a key anyway.
  if (/^[\x21-\x7e]+$/.test(stored_key())) headers.set("Authorization", "Bearer " + stored_key());
  return fetch(path, {cache: "no-store", credentials: "omit", ...options, headers});
};

// Polls until it is stopped: `on` has snapshot(value), key_needed(), gone(why).
export class Poller {
  constructor(on) {
    this.on = on;
    this.timer = null;
    this.running = false;
    this.failures = 0;
  }

  start() {
    this.running = true;
    clearTimeout(this.timer);
    this.poll();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
  }

  async poll() {
    if (this.busy) return;
    this.busy = true;
    let wait_ms = POLL_MS;
    try { wait_ms = await this.look(); } finally { this.busy = false; }
    if (this.running && wait_ms !== null) this.timer = setTimeout(() => this.poll(), wait_ms);
  }

  // Milliseconds until the next look; null: somebody will call start().
  async look() {
    const begin = performance.now();
    let snapshot;
    try {
      const answer = await ask("api/snapshot", {signal: AbortSignal.timeout(TIMEOUT_MS)});
      if (answer.status === 401 || answer.status === 403) {
        this.on.key_needed();
        return null;
      }
      if (!answer.ok) throw new Error(`it answered ${answer.status}`);
      snapshot = await answer.json();
    } catch (error) {
      this.failures++;
      const plain = error.name === "TypeError" || error.name === "TimeoutError";
      this.on.gone(plain ? "" : error.message);
      return Math.min(POLL_MS * 2 ** (this.failures - 1), LONGEST_WAIT_MS);
    }
    this.failures = 0;
    this.on.snapshot(snapshot);
    return Math.max(POLL_MS - (performance.now() - begin), 100);
  }
}
