# SPDX-License-Identifier: Apache-2.0
"""A server of v2 for the dashboard's test: the page, snapshots that change by a known amount each
time they are asked for, a model's metadata and its answers."""
import http.server
import json
import threading
import urllib.parse

HOSTILE = "<img src=x onerror=window.pwned=1>\"'&</script>"
MIB = 1 << 20

# What each snapshot adds to a model's counts. Its clock moves on by two seconds each.
STEP_S = 2
ANSWERED, IN_TIME, LATE, EXPIRED, REJECTED = 100, 90, 6, 4, 10
REQUEST_BUCKETS = ((104, 90), (1024, 9), (8192, 1))
BATCHES = {1: 4, 7: 10, 32: 2}


def histogram(buckets, times):
    rows = [[upper, count * times] for upper, count in buckets]
    return {"count": sum(count for _, count in rows), "sum": 1.0, "buckets": rows if times else []}


def model_statistics(name, version, times):
    """What a model did in `times` steps."""
    rows = sum(size * count for size, count in BATCHES.items())
    duration = {"count": ANSWERED * times, "us": 1e4 * times}
    return {
        "name": name, "version": version, "last_inference_ms": 0, "inference_count": rows * times,
        "execution_count": sum(BATCHES.values()) * times, "padded_rows": 2 * times,
        "success": duration, "fail": {"count": (EXPIRED + REJECTED) * times, "us": 0},
        "queue": duration, "compute_input": duration, "compute_infer": duration,
        "compute_output": duration,
        "failures": {"REJECTED": REJECTED * times, "CANCELED": 3 * times, "BACKEND": 0, "OTHER": 0,
                     "EXPIRED": EXPIRED * times},
        "in_time": IN_TIME * times, "late": LATE * times,
        "batches": [{"rows": size, "count": count * times, "us": 50.0 * size * count * times}
                    for size, count in BATCHES.items()] if times else [],
        "request_us": histogram(REQUEST_BUCKETS, times),
        "queue_us": histogram(((36, 50), (144, 50)), times),
        "compute_us": histogram(((104, 16),), times),
        "batch_rows": histogram(((1.125, 4), (7.5, 10), (36, 2)), times),
        "pending": 5 + times % 3, "memory_bytes": 3 * MIB, "planned_bytes": 8 * MIB,
    }


class FakeServer(http.server.ThreadingHTTPServer):
    """`mode` is "ok", "gone" (closes connections) or "broken" (503). All of it is changed by the
    test while pages ask."""
    daemon_threads = True

    def __init__(self, page):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page
        self.lock = threading.Lock()
        self.reset()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def reset(self):
        self.mode, self.key, self.steps, self.polls = "ok", None, 0, 0
        self.models, self.index, self.ready = [], [], True
        self.decisions = []
        self.bodies, self.answer, self.paths = [], None, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def add_model(self, name, version="1", reason=""):
        self.index.append({"name": name, "version": version, "state": "READY", "reason": reason})
        self.models.append((name, version))

    def handle_error(self, request, client_address):
        """A page that is left closes its connections: nothing to tell."""

    def snapshot(self):
        with self.lock:
            self.steps += 1
            self.polls += 1
            now_us = 1e9 + self.steps * STEP_S * 1e6
            return {
                "now_us": now_us, "up_s": 7380 + self.steps * STEP_S, "ready": self.ready,
                "policy": "deadline", "instances": 1, "threads": 2,
                "memory_limit_bytes": 64 * MIB, "planned_bytes": 16 * MIB,
                "resident_bytes": 20 * MIB + (self.steps % 7) * MIB // 4, "connections": 32,
                "repository": self.index,
                "models": [model_statistics(name, version, self.steps)
                           for name, version in self.models],
                "decisions": [{"at_us": now_us - 2.5e6, "model": name, "requests": 3, "rows": 7,
                               "run_rows": 8, "expected_us": 820.0, "took_us": took, "why": why}
                              for name, took, why in self.decisions]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Nothing: the test says what went wrong."""

    def send(self, status, text, kind="application/json", fields=()):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def turned_away(self):
        if self.server.mode == "gone":
            self.close_connection = True
        elif self.server.mode == "broken":
            self.send(503, '{"error": "not now"}')
        elif self.server.key and self.headers.get("Authorization") != "Bearer " + self.server.key:
            self.send(401, '{"error": "a key is needed"}')
        else:
            return False
        return True

    def do_GET(self):
        self.server.paths.append(self.path)
        if self.path == "/":
            self.send(200, self.server.page, "text/html; charset=utf-8")
        elif self.turned_away():
            pass
        elif self.path == "/api/snapshot":
            self.send(200, json.dumps(self.server.snapshot()))
        elif self.path.startswith("/v2/models/"):
            self.send(200, json.dumps({
                "name": urllib.parse.unquote(self.path.split("/")[3]), "versions": ["1"],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2, 2]},
                           {"name": HOSTILE, "datatype": "INT64", "shape": [-1, 1]}],
                "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}],
                "class_names": ["zero", HOSTILE, "two"]}))
        else:
            self.send(404, '{"error": "nothing here"}')

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.turned_away():
            return
        self.server.bodies.append((self.path, json.loads(body)))
        status, text = self.server.answer
        self.send(status, text, fields=(("Server-Timing", "queue;dur=0.25, compute;dur=1.5"),))
