# SPDX-License-Identifier: Apache-2.0
import fcntl
import hashlib
import json
import math
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

from command_line import DIGITS, PROGRAM, CommandLineTest, main


def npy_floats(path):
    data = path.read_bytes()
    header = struct.unpack("<H", data[8:10])[0] + 10
    return data[header:]


def varint(value):
    """A number as protobuf writes it: seven bits a byte, the lowest first."""
    return bytes((value,)) if value < 128 else bytes((value % 128 + 128,)) + varint(value // 128)


def message(*fields):
    """A protobuf message of (number of the field, integer, text or message)."""
    data = b""
    for number, value in fields:
        if isinstance(value, int):
            data += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            data += varint(number << 3 | 2) + varint(len(value)) + value
    return data


def largest_of_samples():
    """An ONNX model that takes the largest over the first axis of [1, 4]: its batch is fixed."""
    def tensor(name):
        shape = message((1, message((1, 1))), (1, message((1, 4))))
        return message((1, name), (2, message((1, message((1, 1), (2, shape))))))

    axes = message((1, "axes"), (8, 0), (20, 7))
    node = message((1, "x"), (2, "y"), (4, "ReduceMax"), (5, axes))
    graph = message((1, node), (2, "g"), (11, tensor("x")), (12, tensor("y")))
    return message((1, 8), (7, graph), (8, message((1, ""), (2, 13))))


class UsesTest(CommandLineTest):
    def test_new_is_a_function_of_the_seed(self):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            self.succeed("new", "mlp", "--input", "64", "--seed", seed, "-o", f"{name}.onnx")
        a, b, c = ((self.folder / f"{n}.onnx").read_bytes() for n in "abc")
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)

    def test_fit_learns_and_reports(self):
        fit = self.json_of("fit", self.make_mlp(), "--data", DIGITS, "-o", "out.onnx", "--epochs", 3,
                           "--validation-split", "0.2", "--log", "log.jsonl", "--threads", 2)
        self.assertEqual([e["epoch"] for e in fit["epochs"]], [1, 2, 3])
        samples = math.floor(1797 * 0.8)
        self.assertEqual(fit["steps"], 3 * math.ceil(samples / 32))
        last = fit["epochs"][-1]
        self.assertLess(last["loss"], fit["epochs"][0]["loss"])
        self.assertGreater(last["accuracy"], 0.8)
        for name in ("val_loss", "val_accuracy", "samples_per_s", "learning_rate", "batch_size",
                     "noise_scale"):
            self.assertIn(name, last)
        for name in ("micro_batch", "planned_peak_bytes", "base_rss_bytes", "base_data_bytes",
                     "measured_peak_rss_bytes"):
            self.assertGreater(fit[name], 0, name)
        self.assertEqual(len(fit["weights_sha256"]), 64)
        log = [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]
        self.assertEqual([row["loss"] for row in log], [e["loss"] for e in fit["epochs"]])
        evaluated = self.json_of("evaluate", "out.onnx", "--data", DIGITS)
        self.assertEqual(evaluated["samples"], 1797)
        self.assertGreater(evaluated["accuracy"], 0.8)

    def test_fit_has_the_same_bits_for_every_micro_batch_and_thread_count(self):
        model = self.make_mlp()
        hashes = {self.json_of("fit", model, "--data", DIGITS, "-o", "out.onnx", "--steps", 5,
                               "--batch-size", 96, "--micro-batch", micro,
                               "--threads", threads)["weights_sha256"]
                  for micro, threads in ((1, 1), (7, 2), (96, 1), ("auto", 2))}
        self.assertEqual(len(hashes), 1)

    def test_fit_clamps_the_batch_and_says_so(self):
        words = ("fit", self.make_mlp(), "--data", DIGITS, "--limit", 100, "--batch-size", 1000,
                 "--epochs", 2, "-o", "out.onnx")
        self.assertEqual(self.json_of(*words)["epochs"][0]["batch_size"], 100)
        self.assertIn("100", self.run_command(*words).stderr)

    def test_progress_fits_a_narrow_terminal(self):
        ours, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        with subprocess.Popen([PROGRAM, "fit", self.make_mlp(), "--data", DIGITS, "-o", "out.onnx",
                               "--epochs", "100000"], cwd=self.folder, stderr=terminal,
                              stdout=subprocess.DEVNULL) as process:
            os.close(terminal)
            shown = os.read(ours, 65536)
            while shown.count(b"samples/s") < 200:
                shown += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            try:
                while os.read(ours, 65536):
                    pass
            except OSError:  # the other end is closed
                pass
        os.close(ours)
        bars = re.findall(r"\x1b\[K(\[[= ]*\][^\r\n\x1b]*)", shown.decode())
        self.assertGreater(len(bars), 1)
        self.assertLessEqual(max(map(len, bars)), 39)

    def test_fit_stops_cleanly(self):
        self.make_mlp()
        with subprocess.Popen([PROGRAM, "fit", "mlp.onnx", "--data", DIGITS, "-o", "out.onnx",
                               "--epochs", "100000", "--json"], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            for line in process.stderr:
                if line.startswith("epoch 1:"):
                    break
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertTrue(json.loads(output)["stopped"])
        self.succeed("evaluate", "out.onnx", "--data", DIGITS)

    def test_predict_has_the_same_bits_for_every_size(self):
        model = self.make_mlp()
        found = set()
        for batch, micro, threads, isa in ((1, "auto", 1, "auto"), (33, 8, 2, "auto"),
                                           ("auto", "auto", 2, "avx2"), (5000, 5000, 1, "auto")):
            result = self.json_of("predict", model, "--data", DIGITS, "-o", "out.npy", "--isa", isa,
                                  "--batch-size", batch, "--micro-batch", micro,
                                  "--threads", threads)
            values = npy_floats(self.folder / "out.npy")
            self.assertEqual(len(values), 1797 * 10 * 4)
            self.assertEqual(hashlib.sha256(values).hexdigest(), result["output_sha256"])
            found.add(result["output_sha256"])
        self.assertEqual(len(found), 1)

    def test_control_and_compare_find_no_difference(self):
        model = self.make_mlp()
        result = self.json_of("predict", model, "--data", DIGITS, "-o", "a.npy", "--control")
        for name in ("differing_samples", "max_abs_error", "max_ulp", "changed_classes"):
            self.assertEqual(result[name], 0, name)
        self.succeed("predict", model, "--data", DIGITS, "-o", "b.csv", "--batch-size", 1)
        found = self.json_of("compare", "a.npy", "b.csv")
        self.assertEqual((found["samples"], found["differing_samples"]), (1797, 0))

    def test_compare_answers_no(self):
        self.succeed("predict", self.make_mlp(), "--data", DIGITS, "-o", "a.npy")
        self.succeed("new", "mlp", "--input", 64, "--hidden", 32, "--seed", 5, "-o", "other.onnx")
        self.succeed("predict", "other.onnx", "--data", DIGITS, "-o", "b.npy")
        done = self.run_command("compare", "a.npy", "b.npy", "--json")
        self.assertEqual(done.returncode, 1)
        found = json.loads(done.stdout)
        self.assertEqual(found["differing_samples"], 1797)
        self.assertGreater(found["max_abs_error"], 0)
        self.assertGreater(found["max_rel_error"], 0)

    def test_explain(self):
        # Under a sanitizer the process alone takes more than 64 MiB.
        found = self.json_of("explain", self.make_mlp(), "--batch-size", "1,8..32", "--memory-limit",
                             "512MiB", "--time")
        self.assertEqual([row["batch_size"] for row in found["batch_sizes"]], [1, 8, 16, 32])
        parts = ("weights_bytes", "packed_weights_bytes", "activation_bytes", "gradient_bytes",
                 "optimizer_bytes", "scratch_bytes", "io_bytes", "data_bytes", "code_bytes")
        for row in found["batch_sizes"]:
            self.assertEqual(sum(row[part] for part in parts), row["peak_bytes"])
            self.assertLessEqual(row["lower_bound_bytes"], row["peak_bytes"])
            self.assertEqual(row["plan"], "exact")
        self.assertEqual(found["batch_sizes"][1]["flops"], 8 * found["batch_sizes"][0]["flops"])
        self.assertGreaterEqual(found["batch_sizes"][0]["flops"], 2 * (64 * 32 + 32 * 10))
        self.assertIsNone(found["largest_batch_size_that_fits"])
        self.assertGreater(found["largest_micro_batch_that_fits"], 32)
        for step in found["steps"]:
            for name in ("op", "kernel", "backend", "reason", "flops", "bytes", "us",
                         "share_of_peak"):
                self.assertIn(name, step)
        self.assertGreater(len(found["passes"]), 3)
        self.assertIn(found["isa"], ("avx512", "avx2", "sse4"))

    def test_explain_takes_the_sizes_that_the_model_can_have(self):
        (self.folder / "fixed.onnx").write_bytes(largest_of_samples())
        found = self.json_of("explain", "fixed.onnx")
        self.assertEqual([row["batch_size"] for row in found["batch_sizes"]], [1])
        self.fail(2, "explain", "fixed.onnx", "--batch-size", 8, values=["--batch-size 1"])
        found = self.json_of("explain", self.make_mlp())
        self.assertEqual([row["batch_size"] for row in found["batch_sizes"]], [1, 32, 512])

    def test_explain_fit_times_each_step(self):
        found = self.json_of("explain", self.make_mlp(), "--for", "fit", "--time", "--batch-size",
                             "99", "--micro-batch", 50)
        self.assertGreater(len(found["steps"]), 10)
        for step in found["steps"]:
            self.assertGreaterEqual(step["us"], 0, step)
            self.assertGreaterEqual(step["share_of_peak"], 0, step)
        self.assertAlmostEqual(sum(step["share"] for step in found["steps"]), 1, delta=1e-6)

    def test_explain_fit_counts_the_flops_of_uneven_cuts(self):
        explain = ("explain", self.make_mlp(), "--for", "fit", "--batch-size", "50,99,100",
                   "--micro-batch", 50)
        of_50, of_99, of_100 = (row["flops"] for row in self.json_of(*explain)["batch_sizes"])
        self.assertAlmostEqual(of_99 - of_50, 49 / 50 * (of_100 - of_50), delta=1e-6 * of_100)

    def test_json_to_a_file_to_standard_output_and_before_the_command(self):
        model = self.make_mlp()
        printed = self.succeed("explain", model, "--json").stdout
        batch_sizes = json.loads(printed)["batch_sizes"]
        for words in (("explain", "--json", model), ("--json", "explain", model)):
            self.assertEqual(json.loads(self.succeed(*words).stdout)["batch_sizes"], batch_sizes)
        for name, words in (("a.json", ("explain", model, "--json", "a.json")),
                            ("b", ("explain", "--json", "b", model)),
                            ("c", ("--json", "c", "explain", model))):
            self.assertEqual(self.succeed(*words).stdout, "")
            written = json.loads((self.folder / name).read_text())
            self.assertEqual(written["batch_sizes"], batch_sizes)
        # What the command needs is no file for the result.
        self.assertIn("parameters", json.loads(self.succeed("new", "--json", "mlp",
                                                            "-o", "n.onnx").stdout))

    def test_a_pattern_does_not_take_the_model(self):
        self.make_mlp()
        self.succeed("fit", "--freeze", "dense1*", "mlp.onnx", "--data", DIGITS, "-o", "out.onnx",
                     "--steps", 1)

    def test_a_validation_split_has_samples_of_every_class(self):
        rows = [",".join([str(label * 4)] * 64 + [str(label)]) for label in (0, 1)
                for _ in range(100)]
        (self.folder / "sorted.csv").write_text("\n".join(rows) + "\n")
        fit = self.json_of("fit", self.make_mlp(), "--data", "sorted.csv", "-o", "out.onnx",
                           "--epochs", 10, "--validation-split", 0.5)
        self.assertEqual(fit["steps"], 10 * math.ceil(100 / 32))
        self.assertEqual(fit["epochs"][-1]["val_accuracy"], 1)

    def test_explain_fit_lists_what_is_trained(self):
        found = self.json_of("explain", self.make_mlp(), "--for", "fit", "--freeze", "dense1*")
        self.assertEqual([row["name"] for row in found["parameters"]],
                         ["dense2.weight", "dense2.bias"])

    def serve_and_stop(self, *words):
        """Serves until it is ready; SIGTERM is then a clean end."""
        with subprocess.Popen([str(PROGRAM), *words], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE) as server:
            self.assertTrue(server.stdout.readline().startswith("ready:"))
            server.terminate()
            self.assertEqual(server.wait(60), 0)

    def test_every_example_in_the_help_works(self):
        names = [line.split()[0] for line in self.succeed("--help").stdout.splitlines()
                 if line.startswith("  ")]
        self.assertGreaterEqual(len(names), 7)
        (self.folder / "data").mkdir()
        (self.folder / "data" / "digits.csv.gz").write_bytes(DIGITS.read_bytes())
        for name in names:
            example = self.succeed(name, "--help").stdout.split("Example:")[1].split()
            if name == "study":
                example[example.index("--budget") + 1] = "3s"
                example += ["--for", "predict"]
            if name == "load":
                continue  # its server is not there; load_test.py has one
            self.assertEqual(example[0], "batchwise")
            if name == "serve":
                self.serve_and_stop(*example[1:], "--http", "127.0.0.1:0")
                continue
            self.succeed(*example[1:])
        self.assertTrue((self.folder / "study" / "report.html").is_file())


if __name__ == "__main__":
    main()
