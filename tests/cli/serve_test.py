# SPDX-License-Identifier: Apache-2.0
import json
import re
import signal
import socket
import struct
import subprocess
import urllib.request

from command_line import PROGRAM, CommandLineTest, main


class Server:
    """`batchwise serve`, ready, on a port of its own."""

    def __init__(self, folder, *words):
        self.process = subprocess.Popen(
            [str(PROGRAM), "serve", *map(str, words), "--http", "127.0.0.1:0"], cwd=folder,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.line = self.process.stdout.readline()
        self.address = re.search(r"127\.0\.0\.1:\d+", self.line)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data=data,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read()
            return json.loads(text) if text else None


def rows_of(count):
    return {"inputs": [{"name": "input", "shape": [count, 64], "datatype": "FP32",
                        "data": [i % 7 / 7 for i in range(count * 64)]}]}


class ServeTest(CommandLineTest):
    def test_answers_as_predict_does_and_ends_cleanly(self):
        self.make_mlp()
        body = rows_of(3)
        values = body["inputs"][0]["data"]
        lines = [",".join([*map(str, values[r * 64:r * 64 + 64]), "0"]) for r in range(3)]
        (self.folder / "rows.csv").write_text("\n".join(lines) + "\n")
        self.succeed("predict", "mlp.onnx", "--data", "rows.csv", "-o", "out.npy")
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server(self.folder, "mlp.onnx", "--p99", "10s") as server:
                found = server.ask("/v2/models/mlp/infer", body)["outputs"][0]
                self.assertEqual(found["shape"], [3, 10])
                (self.folder / "served.f32").write_bytes(
                    struct.pack(f"<{len(found['data'])}f", *found["data"]))
                predicted = (self.folder / "out.npy").read_bytes()
                self.assertEqual(predicted[-3 * 10 * 4:],
                                 (self.folder / "served.f32").read_bytes())
                self.assertEqual(server.stop(number), 0)

    def test_names_and_repositories(self):
        self.make_mlp()
        (self.folder / "models" / "a" / "2").mkdir(parents=True)
        (self.folder / "models" / "a" / "2" / "model.onnx").write_bytes(
            (self.folder / "mlp.onnx").read_bytes())
        with Server(self.folder, "one=mlp.onnx", "--models", "models") as server:
            index = server.ask("/v2/repository/index", {})
            self.assertEqual({(row["name"], row["version"], row["state"]) for row in index},
                             {("one", "1", "READY"), ("a", "2", "READY")})
            self.assertEqual(server.stop(), 0)

    def test_a_record_is_simulated(self):
        self.make_mlp()
        with Server(self.folder, "mlp.onnx", "--record", "record.csv", "--p99", "10s") as server:
            for rows in (1, 2, 3):
                server.ask("/v2/models/mlp/infer", rows_of(rows))
            self.assertEqual(server.stop(), 0)
        (self.folder / "profile.json").write_text(json.dumps(
            [{"batch_size": 1, "median_us": 50}, {"batch_size": 16, "median_us": 200}]))
        found = self.json_of("simulate", "--profile", "profile.json", "--arrivals", "record.csv")
        self.assertEqual((found["requests"], found["answered"]), (3, 3))

    def test_a_file_of_flags_and_what_is_typed_goes_before_it(self):
        self.make_mlp()
        (self.folder / "serve.toml").write_text(
            'max_batch = 8\nlog_level = "nonsense"\n[[model]]\nname = "m"\npath = "mlp.onnx"\n')
        with Server(self.folder, "--config", "serve.toml", "--log-level", "off") as server:
            config = server.ask("/v2/models/m/config")
            self.assertEqual(config["max_batch_size"], 8)

    def test_refuses_in_one_line(self):
        self.make_mlp()
        self.fail(2, "serve")
        self.fail(2, "serve", "nothing.onnx", "--http", "none", values=["nothing.onnx"])
        self.fail(2, "serve", "mlp.onnx", "--http", "0.0.0.0:0", values=["0.0.0.0:0"])
        self.fail(2, "serve", "mlp.onnx", "--http", "here", values=["here"])
        self.fail(2, "serve", "mlp.onnx", "--policy", "soon", values=["soon"])
        self.fail(2, "serve", "mlp.onnx", "--instances", 0, values=[0])
        self.fail(2, "serve", "mlp.onnx", "mlp.onnx", "--http", "none", values=["mlp"])
        self.fail(2, "serve", "mlp.onnx", "--tls-key", "k.pem", "--http", "127.0.0.1:0")
        self.fail(2, "serve", "mlp.onnx", "--api-keys", "k.txt", "--http", "127.0.0.1:0")
        self.fail(1, "serve", "mlp.onnx", "--memory-limit", "1MiB", "--http", "none")
        self.fail(4, "serve", "mlp.onnx", "--record", "no/where.csv", "--http", "none")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.fail(4, "serve", "mlp.onnx", "--http", f"127.0.0.1:{port}", values=[port])


if __name__ == "__main__":
    main()
