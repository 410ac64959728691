# SPDX-License-Identifier: Apache-2.0
"""`batchwise serve` over HTTP, with curl and bare sockets.

  http_test.py PROGRAM
"""
import gzip
import http.client
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
COLUMNS = 16
VALUES = [0.5 * i - 3 for i in range(COLUMNS)]
KEY = "a-key-of-mine"
# A sanitizer's shadow is memory too.
MEASURES_MEMORY = "BATCHWISE_QUICK_TESTS" not in os.environ
INFER = "/v2/models/mlp/infer"


def infer_body(rows=1):
    return json.dumps({"inputs": [{"name": "input", "shape": [rows, COLUMNS], "datatype": "FP32",
                                   "data": VALUES * rows}]}).encode()


class Service:
    """A server of its own in a folder; `address` is what it says."""

    def __init__(self, folder, *flags, http_address="127.0.0.1:0"):
        self.process = subprocess.Popen([PROGRAM, "serve", "mlp.onnx", "--http", http_address,
                                         *flags], cwd=folder, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("ready: http "):
                self.address = line.split()[2].rstrip(",")
                return
        raise RuntimeError("".join(lines))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.code = self.process.wait(timeout=60)
        self.process.stdout.close()

    def connect(self):
        host, port = self.address.split(":")
        return socket.create_connection((host, int(port)), timeout=20)

    def resident_bytes(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(next(line.split()[1] for line in text.splitlines()
                               if line.startswith("VmRSS")))


def receive(stream):
    """An answer from the file of a socket: status, fields in lower case, body."""
    status = int(stream.readline().split()[1])
    fields = {}
    for line in iter(stream.readline, b"\r\n"):
        name, value = line.decode().rstrip("\r\n").split(": ", 1)
        fields[name.lower()] = value
    return status, fields, stream.read(int(fields.get("content-length", 0)))


class HttpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        subprocess.run([PROGRAM, "new", "mlp", "--input", str(COLUMNS), "--hidden", "8", "-o",
                        "mlp.onnx", "--quiet"], cwd=cls.folder, check=True, capture_output=True)
        with open(cls.folder / "body.json", "wb") as file:
            file.write(infer_body())

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def curl(self, *words):
        done = subprocess.run(["curl", "-sS", "-m", "20", *words], cwd=self.folder, check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def outputs(self, text):
        data = json.loads(text)["outputs"][0]["data"]
        self.assertEqual(len(data), 10, text)
        return data

    def test_curl_over_tcp_and_a_path(self):
        with Service(self.folder) as service:
            plain = self.outputs(self.curl("-d", "@body.json", service.address + INFER))
            head = self.curl("-I", service.address + "/v2")
            self.assertTrue(head.startswith("HTTP/1.1 200"), head)
            packed = self.curl("--compressed", "-d", "@body.json", service.address + INFER)
            self.assertEqual(self.outputs(packed), plain)
            chunked = self.curl("-H", "Transfer-Encoding: chunked", "-d", "@body.json",
                                service.address + INFER)
            self.assertEqual(self.outputs(chunked), plain)
            asked = self.curl("-H", "Expect: 100-continue", "-d", "@body.json",
                              service.address + INFER)
            self.assertEqual(self.outputs(asked), plain)
        self.assertEqual(service.code, 0)
        path = self.folder / "http.socket"
        with Service(self.folder, http_address=f"unix:{path}"):
            text = self.curl("--unix-socket", str(path), "-d", "@body.json", "http://local" + INFER)
            self.assertEqual(self.outputs(text), plain)
        self.assertFalse(path.exists())

    def test_keys_and_tls(self):
        (self.folder / "keys").write_text(KEY + "\n")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", "key.pem", "-out", "cert.pem"], cwd=self.folder, check=True,
                       capture_output=True)
        with Service(self.folder, "--tls-certificate", "cert.pem", "--tls-key", "key.pem",
                     "--api-keys", "keys") as service:
            url = "https://" + service.address
            trusted = ["--cacert", "cert.pem"]
            self.assertIn("live", self.curl(*trusted, url + "/v2/health/live"))
            self.assertIn("key", json.loads(self.curl(*trusted, url + "/v2"))["error"])
            text = self.curl(*trusted, "-H", "Authorization: Bearer " + KEY, "-d", "@body.json",
                             url + INFER)
            self.outputs(text)
            context = ssl.create_default_context(cafile=str(self.folder / "cert.pem"))
            host, port = service.address.split(":")
            client = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
            for rows in (1, 2000, 3):
                client.request("POST", INFER, infer_body(rows), {"X-API-Key": KEY})
                answer = json.loads(client.getresponse().read())
                self.assertEqual(answer["outputs"][0]["shape"], [rows, 10])
            client.close()
            with service.connect() as plain:
                plain.sendall(b"GET /v2 HTTP/1.1\r\n\r\n")
                self.assertNotIn(b"200 OK", plain.recv(1000))

    def test_packed_bodies_and_bombs(self):
        with Service(self.folder, "--max-body", "1MiB") as service, service.connect() as client:
            stream = client.makefile("rb")

            def ask(body, coding):
                client.sendall(f"POST {INFER} HTTP/1.1\r\nContent-Encoding: {coding}\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                return receive(stream)

            bare = zlib.compressobj(wbits=-15)
            for body, coding in ((gzip.compress(infer_body()), "gzip"),
                                 (zlib.compress(infer_body()), "deflate"),
                                 (bare.compress(infer_body()) + bare.flush(), "deflate"),
                                 (infer_body(), "identity")):
                self.assertEqual(ask(body, coding)[0], 200)
            before = service.resident_bytes()
            self.assertEqual(ask(gzip.compress(bytes(200 << 20)), "gzip")[0], 413)
            if MEASURES_MEMORY:
                self.assertLess(service.resident_bytes() - before, 8 << 20)
            self.assertEqual(ask(b"not packed", "gzip")[0], 400)
            self.assertEqual(ask(gzip.compress(infer_body())[:-9], "gzip")[0], 400)
            self.assertEqual(ask(gzip.compress(infer_body()), "gzip")[0], 200)

    def test_binary_requests_sent_ahead(self):
        head = json.dumps({"inputs": [{"name": "input", "shape": [1, COLUMNS], "datatype": "FP32",
                                       "parameters": {"binary_data_size": 4 * COLUMNS}}],
                           "outputs": [{"name": "logits", "parameters": {"binary_data": True}}]})
        body = head.encode() + struct.pack(f"<{COLUMNS}f", *VALUES)
        request = (f"POST {INFER} HTTP/1.1\r\nInference-Header-Content-Length: {len(head)}\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        with Service(self.folder) as service, service.connect() as client:
            wanted = self.outputs(self.curl("-d", "@body.json", service.address + INFER))
            client.sendall(request * 50)
            stream = client.makefile("rb")
            for _ in range(50):
                status, fields, answer = receive(stream)
                self.assertEqual(status, 200)
                length = int(fields["inference-header-content-length"])
                self.assertEqual(struct.unpack("<10f", answer[length:]),
                                 struct.unpack("<10f", struct.pack("<10f", *wanted)))

    def test_metrics_say_what_happened(self):
        with Service(self.folder) as service:
            for _ in range(5):
                self.curl("-d", "@body.json", service.address + INFER)
            lines = self.curl(service.address + "/metrics").splitlines()
            values = {name: float(value) for name, value in
                      (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}
            labels = '{model="mlp",version="1"}'
            self.assertEqual(values["nv_inference_request_success" + labels], 5)
            self.assertEqual(values["nv_inference_count" + labels], 5)
            self.assertEqual(values["batchwise_in_time_total" + labels], 5)
            self.assertEqual(values["batchwise_request_duration_us_count" + labels], 5)
            self.assertEqual(
                values['batchwise_batch_rows_bucket{model="mlp",version="1",le="1"}'],
                values["nv_inference_exec_count" + labels])

    def test_a_thousand_idle_connections_cost_little(self):
        with Service(self.folder) as service:
            with service.connect() as client:
                client.sendall(b"GET /v2/health/live HTTP/1.1\r\n\r\n")
                self.assertEqual(receive(client.makefile("rb"))[0], 200)
            before = service.resident_bytes()
            clients = [service.connect() for _ in range(1000)]
            for client in clients:
                client.sendall(b"GET /v2/health/live HTTP/1.1\r\n\r\n")
            for client in clients:
                self.assertEqual(receive(client.makefile("rb"))[0], 200)
            used = service.resident_bytes() - before
            for client in clients:
                client.close()
            print(f"1000 idle connections: {used / 2**20:.1f} MiB")
            if MEASURES_MEMORY:
                self.assertLess(used, 20 << 20)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
