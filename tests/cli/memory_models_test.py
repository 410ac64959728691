# SPDX-License-Identifier: Apache-2.0
"""A process takes what was planned, whatever the model: within 4 MiB or 3 %, loading included."""
import array
import os
import pathlib
import struct

from command_line import ROOT, CommandLineTest, main

SHARED = pathlib.Path(os.environ.get("BATCHWISE_SHARED_DIR", ROOT.parent / "shared"))
# Deep, wide, with large weights, with small ones.
MODELS = ("densenet121", "resnet50", "bvlc_alexnet", "shufflenet")


def write_npy(path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    count = 1
    for dim in shape:
        count *= dim
    values = array.array("f", (i % 251 / 251 for i in range(count)))
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header +
                     values.tobytes())


class MemoryModelsTest(CommandLineTest):
    def check(self, *words):
        result = self.json_of(*words)
        planned, measured = result["planned_peak_bytes"], result["measured_peak_rss_bytes"]
        self.assertLessEqual(abs(measured - planned), max(4 << 20, 0.03 * planned),
                             (words, result))

    def test_image_models(self):
        write_npy(self.folder / "images.npy", (6, 3, 224, 224))
        for name in MODELS:
            model = SHARED / "models" / f"light_{name}.onnx"
            if not model.exists():
                self.skipTest(f"no {model}: BATCHWISE_SHARED_DIR names its folder")
            for micro_batch in (1, 4):
                self.check("predict", model, "--data", "images.npy", "-o", "out.npy",
                           "--batch-size", 4, "--micro-batch", micro_batch)

    def test_digits_of_mnist(self):
        data = SHARED / "data" / "mnist"
        if not data.exists():
            self.skipTest(f"no {data}: BATCHWISE_SHARED_DIR names its folder")
        for kind, shape in (("mlp", "784"), ("cnn", "1x28x28"), ("resnet20", "1x28x28")):
            self.succeed("new", kind, "--input", shape, "-o", f"{kind}.onnx")
            sizes = ("--batch-size", 128, "--ghost-batch", 16) if kind == "resnet20" else (
                "--batch-size", 128)
            self.check("fit", f"{kind}.onnx", "--data", data, "-o", "fitted.onnx", *sizes,
                       "--steps", 3)
            self.check("predict", f"{kind}.onnx", "--data", f"{data}:test", "-o", "out.npy",
                       "--batch-size", 128)
            self.check("evaluate", f"{kind}.onnx", "--data", f"{data}:test", "--batch-size", 512)


if __name__ == "__main__":
    main()
