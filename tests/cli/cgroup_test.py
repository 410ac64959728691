# SPDX-License-Identifier: Apache-2.0
"""In a memory cgroup of base plus plan a command runs; in nine tenths of it a pinned micro-batch is
refused before the first step, and a free one is made smaller, with the same bits."""
import os
import pathlib
import re

from command_line import DIGITS, CommandLineTest, main

MOUNT = pathlib.Path("/sys/fs/cgroup")


def own_group():
    """The folder of this process's group under a memory controller, and the name of its limit."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return MOUNT / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
        if controllers == "":
            group = MOUNT / path.lstrip("/")
            controllers_file = group / "cgroup.subtree_control"
            if controllers_file.exists() and "memory" in controllers_file.read_text().split():
                return group, "memory.max"
    return None, None


class MemoryGroup:
    """A group with a limit, for one command at a time."""

    def __init__(self):
        parent, self.limit_name = own_group()
        if parent is None:
            raise OSError("there is no memory controller for this process's group")
        self.folder = parent / f"batchwise_test.{os.getpid()}"
        self.folder.mkdir()
        try:
            self.set_limit(1 << 40)
        except OSError:
            self.remove()
            raise

    def set_limit(self, size):
        (self.folder / self.limit_name).write_text(str(size))

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        self.folder.rmdir()


class CgroupTest(CommandLineTest):
    def setUp(self):
        super().setUp()
        try:
            self.group = MemoryGroup()
        except OSError as error:
            self.skipTest(f"no memory cgroup can be made here: {error}")
        self.addCleanup(self.group.remove)
        # A plan so large that a tenth of it is more than the base, of which the group counts only
        # what no other process has in memory.
        self.succeed("new", "mlp", "--input", 64, "--hidden", "65536", "-o", "wide.onnx")

    def check(self, words, micro_batch, bits):
        pinned = (*words, "--micro-batch", micro_batch)
        free = self.json_of(*pinned)
        self.assertEqual(free["micro_batch"], micro_batch)
        limit = free["base_rss_bytes"] + free["planned_peak_bytes"]
        self.assertGreater(limit // 10, free["base_rss_bytes"], free)
        self.group.set_limit(limit)
        exact = self.json_of(*pinned, enter=self.group.enter)
        self.assertEqual(exact[bits], free[bits])

        self.group.set_limit(limit * 9 // 10)
        refused = self.run_command(*pinned, enter=self.group.enter)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        fitting = re.search(r"(\d+) is the largest that fits", refused.stderr)
        self.assertIsNotNone(fitting, refused.stderr)
        self.assertTrue(1 <= int(fitting[1]) < micro_batch, refused.stderr)

        smaller = self.json_of(*words, enter=self.group.enter)
        self.assertTrue(1 <= smaller["micro_batch"] < micro_batch, smaller)
        self.assertEqual(smaller[bits], free[bits])

    def test_predict(self):
        self.check(("predict", "wide.onnx", "--data", DIGITS, "-o", "out.npy", "--threads", 2,
                    "--batch-size", 1024), 1024, "output_sha256")

    def test_fit(self):
        self.check(("fit", "wide.onnx", "--data", DIGITS, "-o", "out.onnx", "--threads", 2,
                    "--batch-size", 1024, "--steps", 2), 256, "weights_sha256")


if __name__ == "__main__":
    main()
