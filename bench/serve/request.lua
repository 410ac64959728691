-- SPDX-License-Identifier: Apache-2.0
-- The same request again and again: REQUEST_BODY names a file, REQUEST_PATH the path, and
-- REQUEST_JSON_BYTES, where it is set, how much of the body is JSON before binary tensors.
local file = assert(io.open(os.getenv("REQUEST_BODY"), "rb"))
wrk.body = file:read("*a")
file:close()
wrk.method = "POST"
wrk.path = os.getenv("REQUEST_PATH")
local json_bytes = os.getenv("REQUEST_JSON_BYTES")
if json_bytes then
  wrk.headers["Content-Type"] = "application/octet-stream"
  wrk.headers["Inference-Header-Content-Length"] = json_bytes
else
  wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency)
  local errors = summary.errors
  -- A refusal is no answer.
  local answered = summary.requests - errors.status
  io.write(string.format("RESULT %f %f %f %d\n", answered / (summary.duration / 1e6),
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
