# SPDX-License-Identifier: Apache-2.0
import json
import os
import resource
import struct
import tarfile

from command_line import DIGITS, CommandLineTest, main


class ErrorsTest(CommandLineTest):
    def test_flags(self):
        model = self.make_mlp()
        fit = ("fit", model, "--data", DIGITS, "-o", "out.onnx")
        predict = ("predict", model, "--data", DIGITS, "-o", "out.npy")
        self.fail(2, "predcit", values=["did you mean predict?"])
        self.fail(2, *fit, "--epohcs", "3", values=["--epohcs", "did you mean --epochs?"])
        self.fail(2, "fit", model, "-o", "out.onnx", values=["--data"])
        self.fail(2, *fit, "--epochs", values=["--epochs"])
        self.fail(2, *fit, "--epochs", "many", values=["many"])
        self.fail(2, *fit, "--epochs", 0, values=["0"])
        self.fail(2, *fit, "--epochs", 2, "--steps", 3)
        self.fail(2, *fit, "--steps", 0)
        self.fail(2, *fit, "--batch-size", 0, values=["0"])
        self.fail(2, *fit, "--batch-size", "auto", values=["auto"])
        self.fail(2, *fit, "--batch-size", -3)
        self.fail(2, *fit, "--lr", 0)
        self.fail(2, *fit, "--lr", "nan")
        self.fail(2, *fit, "--seed", -1, values=["--seed", -1])
        self.fail(2, *fit, "--optimizer", "adam", "--nesterov", values=["--nesterov"])
        self.fail(2, *fit, "--optimizer", "adam", "--momentum", 0.5, values=["--momentum"])
        self.fail(2, *fit, "--momentum", 1)
        self.fail(2, *fit, "--loss", "hinge", values=["hinge"])
        self.fail(2, *fit, "--metric", "mae", values=["mae"])
        self.fail(2, *fit, "--optimizer", "sgdd", values=["sgdd"])
        self.fail(2, *fit, "--last-batch", "all", values=["all"])
        self.fail(2, *fit, "--freeze", "nothing*", values=["nothing*"])
        self.fail(2, *fit, "--normalize", "half", values=["half"])
        self.fail(2, *fit, "--validation-split", "1.5", values=["1.5"])
        self.fail(2, *predict, "--batch-size", 0)
        self.fail(2, *predict, "--micro-batch", 0)
        self.fail(2, *predict, "--threads", 0)
        self.fail(2, *predict, "--limit", 0)
        self.fail(2, *predict, "--isa", "mmx", values=["mmx"])
        self.fail(2, *predict, env={"BATCHWISE_ISA": "mmx"}, values=["mmx"])
        self.fail(2, *predict, "--memory-limit", "much", values=["much"])
        self.fail(2, *predict, "--output", "nobody", values=["nobody"])
        self.fail(2, *predict, "more", values=["more"])

    def test_models(self):
        model = self.folder / self.make_mlp()
        data = model.read_bytes()
        (self.folder / "truncated.onnx").write_bytes(data[: len(data) // 2])
        (self.folder / "text.onnx").write_text("not a model")
        (self.folder / "empty.onnx").write_bytes(b"")
        for name in ("truncated.onnx", "text.onnx", "empty.onnx", "missing.onnx"):
            self.fail(2, "predict", name, "--data", DIGITS, "-o", "out.npy", values=[name])
            self.fail(2, "fit", name, "--data", DIGITS, "-o", "out.onnx", values=[name])
            self.fail(2, "explain", name, values=[name])
        self.succeed("new", "mlp", "--input", "1x28x28", "-o", "wide.onnx")
        self.fail(2, "predict", "wide.onnx", "--data", DIGITS, "-o", "out.npy",
                  values=[64, 784])
        self.succeed("new", "mlp", "--input", 64, "--classes", 5, "-o", "few.onnx")
        self.fail(2, "fit", "few.onnx", "--data", DIGITS, "-o", "out.onnx")
        self.fail(2, "evaluate", "few.onnx", "--data", DIGITS)

    def test_data(self):
        model = self.make_mlp()
        row = ",".join(["1"] * 64)
        (self.folder / "ragged.csv").write_text(f"{row},3\n{row}\n")
        (self.folder / "labels.csv").write_text(f"{row},3\n{row},11\n")
        (self.folder / "empty.csv").write_text("")
        (self.folder / "text.npy").write_text("not an array")
        images = self.folder / "images" / "cat"
        images.mkdir(parents=True)
        (images / "a.png").write_text("not an image")
        with tarfile.open(self.folder / "images.tar", "w") as tar:
            tar.add(self.folder / "images", "images")
        header = struct.pack(">IIII", 0x803, 10, 28, 28)
        (self.folder / "idx").mkdir()
        (self.folder / "idx" / "train-images-idx3-ubyte").write_bytes(header)
        (self.folder / "idx" / "train-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, 10) + bytes(10))
        for data in ("ragged.csv", "labels.csv", "empty.csv", "text.npy", "images", "images.tar",
                     "idx", "missing.csv"):
            self.fail(2, "fit", model, "--data", data, "-o", "out.onnx", "--log", "log.jsonl")
        for data in ("ragged.csv", "empty.csv", "text.npy", "images", "idx", "missing.csv"):
            self.fail(2, "predict", model, "--data", data, "-o", "out.npy")
        self.fail(2, "fit", model, "--data", "labels.csv", "-o", "out.onnx", values=[11])
        self.fail(2, "predict", model, "--data", f"{DIGITS}:train", "-o", "out.npy",
                  values=["train"])

    def test_data_is_not_written_over(self):
        model = self.make_mlp()
        row = ",".join(["1"] * 64)
        (self.folder / "own.csv").write_text(f"{row},3\n{row},4\n")
        self.fail(2, "predict", model, "--data", "own.csv", "-o", "./own.csv", values=["own.csv"])
        self.fail(2, "predict", model, "--data", "own.csv", "-o", "out.npy", "--json=own.csv")
        self.fail(2, "fit", model, "--data", "own.csv", "-o", "own.csv", "--steps", 1)

    def test_normalizing_twice(self):
        self.succeed("fit", self.make_mlp(), "--data", DIGITS, "-o", "out.onnx", "--steps", 2,
                     "--normalize", "0..1")
        again = ("fit", "out.onnx", "--data", DIGITS, "-o", "again.onnx", "--steps", 2)
        self.fail(2, *again, "--normalize", "0..1", values=["0..1"])
        self.succeed(*again)

    def test_training_that_diverges_says_at_which_step_and_writes_nothing(self):
        fit = ("fit", self.make_mlp(), "--data", DIGITS, "-o", "out.onnx", "--lr", "1e9",
               "--log", "log.jsonl")
        done = self.fail(1, *fit, values=["diverged", "step", "--lr"])
        self.assertNotIn("nan", done.stderr.replace("not finite", ""))
        found = json.loads(self.fail(1, *fit, "--json").stdout)
        self.assertEqual(found["diverged_step"], found["steps"])
        self.assertIn(f"step {found['steps']} ", done.stderr)

    def test_unwritable_outputs(self):
        model = self.make_mlp()
        self.fail(4, "fit", model, "--data", DIGITS, "-o", "out.onnx", "--json", "missing/a.json",
                  values=["missing/a.json"])
        for where in ("missing/out", "."):
            self.fail(4, "new", "mlp", "-o", f"{where}.onnx" if where != "." else ".")
        self.fail(4, "predict", model, "--data", DIGITS, "-o", "missing/out.npy")
        self.fail(4, "fit", model, "--data", DIGITS, "-o", "missing/out.onnx")
        self.fail(4, "fit", model, "--data", DIGITS, "-o", "out.onnx", "--log", "missing/log.jsonl")
        if os.geteuid() != 0:
            (self.folder / "locked").mkdir(0o500)
            self.fail(4, "predict", model, "--data", DIGITS, "-o", "locked/out.npy")

    def test_full_disk(self):
        model = self.make_mlp()
        small = [(resource.RLIMIT_FSIZE, 4096)]
        # What was there before stays.
        (self.folder / "out.npy").write_text("kept")
        (self.folder / "out.onnx").write_text("kept")
        self.fail(4, "new", "mlp", "--input", 64, "-o", "new.onnx", limits=small)
        self.fail(4, "predict", model, "--data", DIGITS, "-o", "out.npy", "--limit", 500,
                  env={"BATCHWISE_CACHE_DIR": "/dev/shm"}, limits=[(resource.RLIMIT_FSIZE, 1 << 20),
                                                                    (resource.RLIMIT_FSIZE, 4096)])
        self.fail(4, "fit", model, "--data", DIGITS, "-o", "out.onnx", "--steps", 2, limits=small)
        study = ("study", model, "--data", DIGITS, "--for", "predict", "--batch-size", "1,2")
        self.fail(4, *study, "-o", "new/study", limits=[(resource.RLIMIT_FSIZE, 200_000)])
        self.succeed(*study, "-o", "study")
        self.fail(4, *study, "-o", "study", limits=[(resource.RLIMIT_FSIZE, 200_000)])

    def test_standard_error_has_the_form(self):
        done = self.run_command("predict", "missing.onnx", "--data", DIGITS, "-o", "out.npy")
        self.assertRegex(done.stderr.splitlines()[0], r"^batchwise: \[[^\]]+\] .+$")
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    main()
