# SPDX-License-Identifier: Apache-2.0
"""Runs batchwise as a user would, in a folder of its own, and looks at what it leaves."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import unittest

PROGRAM, ROOT = (pathlib.Path(a) for a in sys.argv[1:3])
DIGITS = ROOT / "data" / "digits.csv.gz"


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_command(self, *words, env=None, limits=(), enter=lambda: None):
        """`enter` is called in the new process before the program is started."""
        def set_limits():
            enter()
            for name, value in limits:
                resource.setrlimit(name, (value, value))

        return subprocess.run([str(PROGRAM), *map(str, words)], cwd=self.folder, text=True,
                              capture_output=True, env={**os.environ, **(env or {})},
                              preexec_fn=set_limits, timeout=240, check=False)

    def succeed(self, *words, **options):
        done = self.run_command(*words, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def json_of(self, *words, **options):
        return json.loads(self.succeed(*words, "--json", "--quiet", **options).stdout)

    def fail(self, code, *words, values=(), **options):
        """One line on standard error with the values in it, and the folder as it was."""
        before = self.content()
        done = self.run_command(*words, **options)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        lines = [line for line in done.stderr.splitlines() if line.startswith("batchwise: [")]
        self.assertEqual(len(lines), 1, done.stderr)
        for value in values:
            self.assertIn(str(value), done.stderr)
        self.assertEqual(self.content(), before, "the folder is not what it was")
        return done

    def content(self):
        return {str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
                for path in self.folder.rglob("*")}

    def make_mlp(self, name="mlp.onnx"):
        self.succeed("new", "mlp", "--input", "64", "--hidden", "32", "-o", name)
        return name


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
