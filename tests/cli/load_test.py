# SPDX-License-Identifier: Apache-2.0
"""batchwise load against a server that is not ours: counts, statuses, latencies, what is lost."""
import json
import shutil
import signal
import socket
import struct
import subprocess
import time
import time
import unittest

from command_line import PROGRAM, CommandLineTest, main
from v2_server import ROW, STALL_S, V2Server

FIELDS = ("requests", "answered", "refused", "late", "requests_per_s", "goodput_per_s", "p50_us",
          "p90_us", "p99_us", "mean_batch", "client_cpu_us_per_request")


class LoadTest(CommandLineTest):
    def setUp(self):
        super().setUp()
        self.server = self.make_server()

    def make_server(self, **options):
        server = V2Server(**options)
        self.addCleanup(server.close)
        return server

    def load(self, model, *words, code=0, server=None):
        """The report, whatever the exit code, which must be `code`."""
        done = self.run_command("load", (server or self.server).url, "--model", model, *words,
                                "--json", "--quiet")
        self.assertEqual(done.returncode, code, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["requests"], report["answered"] + report["refused"]
                         + report["failed"] + report["lost"])
        return report

    def start_load(self, model, asked, *words):
        """A minute of load; returns once the server was asked so often."""
        process = subprocess.Popen([str(PROGRAM), "load", self.server.url, "--model", model,
                                    "--duration", "60s", "--warmup", "0s", "--json", "--quiet",
                                    *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        while self.server.asked.get(model, 0) < asked:
            self.assertEqual(process.poll(), None)
            time.sleep(0.01)
        return process

    def write_npy(self, name, rows):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {ROW}), }}"
        header = header.ljust(128 - 10 - 1) + "\n"
        data = b"".join(struct.pack(f"<{ROW}f", *row) for row in rows)
        (self.folder / name).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
                                         + header.encode() + data)
        return name

    def test_a_closed_loop_sends_as_many_as_it_is_told(self):
        for encoding in ("binary", "json"):
            before = self.server.asked.get("twice", 0)
            report = self.load("twice", "--requests", 200, "--concurrency", 8, "--warmup", "0s",
                               "--encoding", encoding)
            for field in FIELDS:
                self.assertIn(field, report)
            self.assertEqual((report["requests"], report["answered"]), (200, 200))
            self.assertEqual(report["mean_batch"], 1)
            self.assertLessEqual(report["p50_us"], report["p99_us"])
            self.assertLessEqual(report["p99_us"], report["max_us"])
            # One more was tried before.
            self.assertEqual(self.server.asked["twice"] - before, 201)
        self.assertIn("200 answered", self.succeed(
            "load", self.server.url, "--model", "twice", "--requests", 200, "--warmup",
            "0s").stdout)

    def test_an_open_loop_keeps_its_rate_and_its_rows(self):
        report = self.load("twice", "--rate", "400/s", "--duration", "2s", "--warmup", "0s",
                           "--rows", "2..5", "--timeout", "1500ms", "--seed", 3)
        # Poisson: 800, give or take five times its root.
        self.assertLess(abs(report["requests"] - 800), 142)
        self.assertEqual(self.server.row_counts, {2, 3, 4, 5})
        self.assertEqual(self.server.timeouts, {1500000})
        self.assertGreater(report["mean_batch"], 3)
        self.assertLess(report["mean_batch"], 4)
        for arrivals in ("bursty", "diurnal"):
            self.assertGreater(self.load("twice", "--rate", "200/s", "--duration", "1s", "--arrivals",
                                         arrivals)["answered"], 20)

    def test_a_file_of_arrivals(self):
        (self.folder / "trace.csv").write_text(
            "at_us,rows,timeout_us\n0,1,9000000\n1000,3,9000000\n250000,2,9000000\n")
        report = self.load("twice", "--arrivals", "trace.csv")
        self.assertEqual((report["requests"], report["late"]), (3, 0))
        self.assertGreaterEqual(report["seconds"], 0.25)
        self.assertEqual(self.server.timeouts, {9000000})
        self.assertEqual(self.server.row_counts, {1, 2, 3})

    def test_a_stall_is_seen_by_all_that_were_due_in_it(self):
        # 300 of 600 a second times 0.3 s wait for some time; a generator that measured from the
        # sending would show it for the few that were on their way.
        report = self.load("stalls", "--rate", "600/s", "--duration", "2s", "--warmup", "0s",
                           "--connections", 4)
        self.assertEqual(report["answered"], report["requests"])
        self.assertGreaterEqual(report["max_us"], 0.9 * STALL_S * 1e6)
        # Of 1,200 requests the worst 12 were due in the first 20 ms of it.
        self.assertGreaterEqual(report["p99_us"], 0.7 * STALL_S * 1e6)
        self.assertGreaterEqual(report["p90_us"], 0.1 * STALL_S * 1e6)

    def test_late_is_later_than_the_limit(self):
        report = self.load("slow", "--requests", 20, "--concurrency", 4, "--p99", "1ms", "--warmup",
                           "0s")
        self.assertEqual((report["late"], report["goodput_per_s"]), (20, 0))
        self.assertGreaterEqual(report["p50_us"], 20000)

    def test_what_became_of_each_request(self):
        words = ("--requests", 120, "--concurrency", 3, "--warmup", "0s")
        report = self.load("refuses", *words)
        self.assertEqual((report["refused"], report["expired"]), (40, 0))
        self.assertEqual(report["answered"], 80)
        report = self.load("expires", *words)
        self.assertEqual((report["refused"], report["expired"]), (30, 30))
        report = self.load("fails", *words, code=1)
        self.assertEqual((report["failed"], report["first_fault"]), (24, "500 out of order"))
        report = self.load("closes", *words, code=1)
        self.assertEqual((report["lost"], report["failed"]), (12, 0))

    def test_bits_are_compared(self):
        rows = [[i, i / 3, -i, 1e-20 * i] for i in range(50)]
        self.write_npy("in.npy", rows)
        # The server doubles what is exactly twice a float.
        exact = [struct.unpack(f"<{ROW}f", struct.pack(f"<{ROW}f", *row)) for row in rows]
        self.write_npy("out.npy", [[2 * value for value in row] for row in exact])
        words = ("--data", "in.npy", "--check", "out.npy", "--requests", 60, "--warmup", "0s",
                 "--rows", "1..4")
        for encoding in ("binary", "json"):
            report = self.load("twice", *words, "--encoding", encoding)
            self.assertEqual((report["checked"], report["differing"]), (60, 0))
        # One was tried before, and each fifth of all is wrong.
        report = self.load("wrong", *words, code=1)
        self.assertEqual((report["checked"], report["differing"]), (60, 12))

    def test_scenarios(self):
        report = self.load("twice", "--scenario", "offline", "--requests", 300, "--rows", 4)
        self.assertEqual((report["requests"], report["metric"]), (300, "samples_per_s"))
        self.assertGreater(report["metric_value"], 0)
        report = self.load("twice", "--scenario", "single-stream", "--requests", 50, "--warmup", "0s")
        self.assertEqual(report["metric"], "p90_us")
        # 50 requests: none may be left out.
        self.assertEqual(report["metric_value"], report["max_us"])
        self.server.row_counts.clear()
        report = self.load("twice", "--scenario", "multi-stream", "--requests", 20, "--warmup", "0s")
        self.assertEqual(report["metric_value"], 0)  # too few to say
        self.assertEqual(self.server.row_counts, {8})

    def test_the_highest_rate(self):
        report = self.load("twice", "--find-rate", "--p99", "150ms", "--rate", "2000/s",
                           "--duration", "100ms", "--warmup", "0s")
        self.assertGreater(report["found_rate_per_s"], 0)
        holds = [t for t in report["trials"] if t["verdict"] == "holds"]
        self.assertEqual(max(t["rate_per_s"] for t in holds), report["found_rate_per_s"])
        self.fail(1, "load", self.server.url, "--model", "slow", "--find-rate", "--p99", "10ms",
                  "--rate", "2/s", "--duration", "100ms", "--warmup", "0s", "--quiet",
                  values=["10000"])

    def test_a_hundred_connections_and_a_queue(self):
        before = self.server.connections
        self.load("twice", "--concurrency", 100, "--requests", 1000, "--warmup", "0s")
        self.assertEqual(self.server.connections - before, 100)
        before = self.server.connections
        self.load("twice", "--concurrency", 50, "--requests", 500, "--connections", 2, "--warmup",
                  "0s")
        self.assertEqual(self.server.connections - before, 2)

    def test_a_socket_a_key_and_tls(self):
        path = str(self.folder / "s")
        server = self.make_server(path=path, key="secret")
        words = ("--requests", 10, "--warmup", "0s")
        self.assertEqual(self.load("twice", *words, "--api-key", "secret", server=server)["answered"],
                         10)
        self.fail(2, "load", server.url, "--model", "twice", *words, values=["who are you?"])
        if shutil.which("openssl") is None:
            self.skipTest("no openssl to make a certificate with")
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", "key.pem", "-out",
             "cert.pem"], cwd=self.folder, capture_output=True, check=False)
        self.assertEqual(made.returncode, 0, made.stderr)
        pair = (str(self.folder / "cert.pem"), str(self.folder / "key.pem"))
        tls = self.make_server(certificate=pair)
        report = self.load("twice", *words, "--ca", "cert.pem", "--rows", 300, "--concurrency", 3,
                           server=tls)
        self.assertEqual(report["answered"], 10)
        self.assertEqual(self.load("twice", *words, "--insecure", server=tls)["answered"], 10)
        self.fail(4, "load", tls.url, "--model", "twice", *words, values=["TLS", tls.port])
        self.fail(2, "load", tls.url, "--model", "twice", *words, "--ca", "key.pem",
                  values=["key.pem"])

    def test_ctrl_c_keeps_what_was_measured(self):
        process = self.start_load("twice", 50)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, err)
        self.assertGreaterEqual(json.loads(out)["answered"], 40)
        self.assertEqual(len(err.splitlines()), 1)

    def test_a_server_that_goes_away(self):
        process = self.start_load("twice", 50)
        self.server.close()
        out, err = process.communicate(timeout=50)
        self.assertEqual(process.returncode, 4, err)
        self.assertGreaterEqual(json.loads(out)["answered"], 40)
        self.assertIn(self.server.url, err)

    def test_no_answer_is_a_loss(self):
        process = self.start_load("silent", 4, "--concurrency", "3")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        self.assertEqual(json.loads(out)["lost"], 3)

    def test_errors(self):
        url = self.server.url
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.fail(4, "load", f"127.0.0.1:{one.getsockname()[1]}", "--model", "m",
                      values=["refused", one.getsockname()[1]])
        self.fail(4, "load", "no-such-host.invalid", "--model", "m", values=["no-such-host.invalid"])
        self.fail(4, "load", "unix:/nonexistent/s", "--model", "m", values=["/nonexistent/s"])
        self.fail(2, "load", "ftp://127.0.0.1", "--model", "m", values=["ftp"])
        self.fail(2, "load", url + "/v2/models/m", "--model", "m", values=["--model"])
        self.fail(2, "load", url, values=["--model"])
        self.fail(2, "load", values=["url"])
        self.fail(2, "load", url, "--model", "unknown", values=["unknown", 404])
        self.fail(2, "load", url, "--model", "rejects", values=["input x is too small"])
        self.fail(4, "load", url, "--model", "garbage", values=["<html>hello</html>"])
        self.fail(4, "load", url, "--model", "nonsense", values=["HTTP"])
        words = ("load", url, "--model", "twice")
        self.fail(2, *words, "--rate", "fast", values=["fast"])
        self.fail(2, *words, "--rate", "5/s", "--concurrency", 3, values=["--concurrency"])
        self.fail(2, *words, "--rate", "5/s", "--arrivals", "weekly", values=["weekly", "bursty"])
        self.fail(2, *words, "--rate", "5/s", "--arrivals", "none.csv", values=["none.csv"])
        self.fail(2, *words, "--scenario", "fast", values=["fast", "offline"])
        self.fail(2, *words, "--scenario", "server", values=["--p99"])
        self.fail(2, *words, "--find-rate", values=["--p99"])
        self.fail(2, *words, "--rows", "0")
        self.fail(2, *words, "--rows", "5..2", values=["5..2"])
        self.fail(2, *words, "--rows", "999999999", values=[999999999])
        self.fail(2, *words, "--encoding", "xml", values=["xml", "json"])
        self.fail(2, *words, "--duration", "0s", values=["--duration"])
        self.fail(2, *words, "--concurrency", -1)
        self.fail(2, *words, "--connections", 100000, values=[100000])
        self.fail(2, *words, "--data", "none.csv", values=["none.csv"])
        self.fail(2, *words, "--check", "none.npy", values=["--check"])
        self.fail(2, *words, "--check-model", "none.onnx", values=["none.onnx"])
        self.write_npy("in.npy", [[1, 2, 3, 4]] * 5)
        self.write_npy("few.npy", [[1, 2, 3, 4]] * 4)
        self.fail(2, *words, "--data", "in.npy", "--check", "few.npy", values=["few.npy", 4, 5])
        self.fail(2, *words, "--data", "in.npy", "--rows", "6", values=[6, 5])
        (self.folder / "wide.csv").write_text("1,2,3,0\n4,5,6,1\n")
        self.fail(2, *words, "--data", "wide.csv", values=["wide.csv", 3, ROW])
        self.make_mlp()
        self.fail(2, *words, "--check-model", "mlp.onnx", values=["mlp.onnx"])


if __name__ == "__main__":
    main()
