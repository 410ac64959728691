# SPDX-License-Identifier: Apache-2.0
"""Only who opens the module of gRPC maps gRPC: not the program, not the library, and neither
`fit` nor `predict` while they run.

  module_test.py PROGRAM ROOT LIBRARY MODULE
"""
import ctypes
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM, ROOT, LIBRARY, MODULE = (pathlib.Path(a).resolve() for a in sys.argv[1:5])
DIGITS = ROOT / "data" / "digits.csv.gz"
WORDS = ("libgrpc", "libupb", "libbatchwise_grpc")


def needed(path):
    """All libraries that the dynamic linker would map for a file."""
    return subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout


class ModuleTest(unittest.TestCase):
    def test_nothing_of_grpc_is_linked(self):
        for path in (PROGRAM, LIBRARY):
            for word in WORDS:
                self.assertNotIn(word, needed(path), path)
        self.assertIn("libgrpc++", needed(MODULE))

    def test_module_shows_its_two_functions_only(self):
        lines = subprocess.run(["nm", "-D", "--defined-only", MODULE], capture_output=True,
                               text=True, check=True).stdout.splitlines()
        names = {line.split()[-1] for line in lines}
        self.assertEqual(names, {"batchwise_make_grpc_frontend", "batchwise_make_grpc_client"})
        loaded = ctypes.CDLL(str(MODULE))
        self.assertIsNotNone(loaded.batchwise_make_grpc_frontend)

    def test_fit_and_predict_do_not_map_it(self):
        """The dynamic linker's own record of every file that it opens."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)

            def opened(*words):
                record = folder / words[0]
                subprocess.run([str(PROGRAM), *map(str, words), "--quiet"], cwd=folder, check=True,
                               capture_output=True,
                               env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": str(record)})
                return "".join(path.read_text() for path in folder.glob(words[0] + ".*"))

            new = opened("new", "mlp", "--input", "64", "--hidden", "8", "-o", "mlp.onnx")
            self.assertIn("libbatchwise", new)  # the record is one
            for text in (new,
                         opened("fit", "mlp.onnx", "--data", DIGITS, "--steps", "2", "-o", "b.onnx"),
                         opened("predict", "mlp.onnx", "--data", DIGITS, "-o", "out.npy")):
                for word in WORDS:
                    self.assertNotIn(word, text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
