// SPDX-License-Identifier: Apache-2.0
// What happened between two snapshots of the server. Nothing here knows the page.

// Upper edges are (1 + step / 8) * 2^octave; below the first one lies everything from 0.
const lower_edge = (upper) => {
  if (upper <= 1.125) return 0;
  const octave = 2 ** Math.floor(Math.log2(upper));
  return upper === octave ? upper * 15 / 16 : upper - octave / 8;
};

// A server that started anew, or a model that was loaded anew, counts from nothing.
const grown = (now, before) => before === undefined || now < before ? now : now - before;

export const histogram_between = (now, before) => {
  if (!before || now.count < before.count) return now;
  const earlier = new Map(before.buckets);
  const buckets = now.buckets.map(([upper, count]) => [upper, count - (earlier.get(upper) || 0)])
      .filter((bucket) => bucket[1] > 0);
  return {count: now.count - before.count, sum: now.sum - before.sum, buckets};
};

// The value that a share `q` does not exceed, as if a bucket's values lay evenly in it; null
// without values.
export const quantile = (histogram, q) => {
  if (!(histogram.count > 0)) return null;
  const wanted = Math.max(1, Math.ceil(q * histogram.count));
  let seen = 0;
  for (const [upper, count] of histogram.buckets) {
    if (seen + count >= wanted) {
      const lower = lower_edge(upper);
      return lower + (wanted - seen) / count * (upper - lower);
    }
    seen += count;
  }
  return null;
};

// [{rows, count, us}], rising.
export const batches_between = (now, before) => {
  const earlier = new Map((before || []).map((batch) => [batch.rows, batch]));
  return now.map((batch) => {
    const old = earlier.get(batch.rows);
    const anew = !old || batch.count < old.count;
    return {rows: batch.rows, count: anew ? batch.count : batch.count - old.count,
            us: anew ? batch.us : batch.us - old.us};
  }).filter((batch) => batch.count > 0);
};

const failures = (model) => Object.entries(model.failures).reduce(
    (sum, [reason, count]) => reason === "CANCELED" ? sum : sum + count, 0);

// One point of the charts: what a model did between two snapshots, `seconds` apart.
export const activity_between = (now, before, seconds) => {
  const old = before || {success: {}, fail: {}, failures: {}};
  const rate = (field) => seconds > 0 ? field / seconds : 0;
  const between = (name) => grown(now[name], old[name]);
  const answered = grown(now.success.count, old.success.count);
  const in_time = between("in_time"), late = between("late");
  const expired = grown(now.failures.EXPIRED || 0, old.failures.EXPIRED);
  const refused = grown(now.failures.REJECTED || 0, old.failures.REJECTED);
  const failed = grown(failures(now), before ? failures(before) : undefined);
  const executions = between("execution_count");
  const request = histogram_between(now.request_us, old.request_us);
  const queue = histogram_between(now.queue_us, old.queue_us);
  const finished = in_time + late + failed;
  return {
    answered_per_s: rate(answered), failed_per_s: rate(failed),
    in_time_per_s: rate(in_time), missed_per_s: rate(late + expired), refused_per_s: rate(refused),
    in_time_share: finished > 0 ? in_time / finished : null,
    p50_us: quantile(request, 0.5), p90_us: quantile(request, 0.9), p99_us: quantile(request, 0.99),
    queue_p50_us: quantile(queue, 0.5), queue_p99_us: quantile(queue, 0.99),
    mean_batch: executions > 0 ? between("inference_count") / executions : null,
    padded_per_s: rate(between("padded_rows")),
    pending: now.pending,
  };
};
