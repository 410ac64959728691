# SPDX-License-Identifier: Apache-2.0
"""A tiny v2 server of Python's library alone, which answers with twice what it was sent, late, wrong
or not at all, by the name of the model. One thread, so a stall stalls everybody."""
import asyncio
import json
import ssl
import struct
import threading
import time
import urllib.parse

ROW = 4  # numbers in a row
STALL_S = 0.3


class V2Server:
    """Listens from its construction on. `asked` and `answered` count inference requests by model."""

    def __init__(self, certificate=None, path=None, key=None):
        self.asked, self.answered, self.rows = {}, {}, {}
        self.timeouts, self.row_counts = set(), set()
        self.key, self.path = key, path
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)

        async def listen():
            if self.path:
                return await asyncio.start_unix_server(self._serve, self.path)
            return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context,
                                              backlog=1024)

        self.server = self.loop.run_until_complete(listen())
        if not self.path:
            self.port = self.server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    @property
    def url(self):
        if self.path:
            return f"unix:{self.path}"
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def close(self):
        def end():
            self.server.close()
            for task in asyncio.all_tasks():
                task.cancel()
            # Sockets are closed in the next turns of the loop.
            self.loop.call_later(0.1, self.loop.stop)

        if self.loop.is_running():
            self.loop.call_soon_threadsafe(end)
            self.thread.join()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in
                          (line.partition(":") for line in lines[1:] if line)}
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                method, target, _ = lines[0].split(" ")
                reply = await self._answer(method, urllib.parse.unquote(target), fields, body)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, method, target, fields, body):
        if self.key and fields.get("authorization") != f"Bearer {self.key}":
            return self._reply(401, {"error": "who are you?"})
        model = target.split("/")[3] if target.count("/") > 2 else ""
        if model in ("", "unknown"):
            return self._reply(404, {"error": f"there is no model {model}"})
        if method == "GET":
            if target.endswith("/stats"):
                rows, runs = self.rows.get(model, 0), self.answered.get(model, 0)
                return self._reply(404, {}) if model == "bare" else self._reply(200, {
                    "model_stats": [{"name": model, "version": "1", "inference_count": rows,
                                     "execution_count": runs}]})
            return self._reply(200, {
                "name": model, "versions": ["1"], "platform": "test",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, ROW]}],
                "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, ROW]}]})
        return await self._infer(model, fields, body)

    async def _infer(self, model, fields, body):
        number = self.asked[model] = self.asked.get(model, 0) + 1
        if model == "refuses" and number % 3 == 0:
            return self._reply(503, {"error": "the queue is full"}, "Retry-After: 1\r\n")
        if model == "expires" and number % 4 == 0:
            return self._reply(504, {"error": "too late"})
        if model == "fails" and number % 5 == 0:
            return self._reply(500, {"error": "out of order"})
        if model == "rejects":
            return self._reply(400, {"error": "input x is too small"})
        if model == "closes" and number % 10 == 0:
            return None
        if model == "garbage":
            return self._reply(200, "<html>hello</html>")
        if model == "nonsense":
            return b"220 mail.example ready\r\n"
        if model == "silent" and number > 1:
            await asyncio.sleep(3600)
        if model == "stalls" and number == 100:
            time.sleep(STALL_S)
        if model == "slow":
            await asyncio.sleep(0.02)
        return self._double(model, number, fields, body)

    def _double(self, model, number, fields, body):
        json_bytes = int(fields.get("inference-header-content-length", len(body)))
        request = json.loads(body[:json_bytes])
        self.timeouts.add(request.get("parameters", {}).get("timeout"))
        (tensor,) = request["inputs"]
        rows = tensor["shape"][0]
        self.row_counts.add(rows)
        binary = "binary_data_size" in tensor.get("parameters", {})
        values = (struct.unpack(f"<{rows * ROW}f", body[json_bytes:]) if binary else tensor["data"])
        doubled = [2 * value for value in values]
        if model == "wrong" and number % 5 == 0:
            doubled[-1] += 1
        self.answered[model] = self.answered.get(model, 0) + 1
        self.rows[model] = self.rows.get(model, 0) + rows
        output = {"name": "y", "datatype": "FP32", "shape": [rows, ROW]}
        if not binary:
            return self._reply(200, {"model_name": model, "outputs": [{**output, "data": doubled}]})
        output["parameters"] = {"binary_data_size": 4 * len(doubled)}
        head = json.dumps({"model_name": model, "outputs": [output]}).encode()
        return self._reply(200, head + struct.pack(f"<{len(doubled)}f", *doubled),
                           f"Inference-Header-Content-Length: {len(head)}\r\n")

    @staticmethod
    def _reply(code, body, fields=""):
        if isinstance(body, dict):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        return f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body
