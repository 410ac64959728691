# SPDX-License-Identifier: Apache-2.0
import resource

from command_line import DIGITS, CommandLineTest, main

# The base differs a little from process to process.
BASE_NOISE = 512 << 10


class MemoryTest(CommandLineTest):
    def check_measured(self, result):
        planned, measured = result["planned_peak_bytes"], result["measured_peak_rss_bytes"]
        self.assertLessEqual(abs(measured - planned), max(4 << 20, 0.03 * planned), result)

    def setUp(self):
        super().setUp()
        self.succeed("new", "mlp", "--input", 64, "--hidden", "1024,1024", "-o", "wide.onnx")
        self.predict = ("predict", "wide.onnx", "--data", DIGITS, "-o", "out.npy", "--threads", 2)
        self.fit = ("fit", "wide.onnx", "--data", DIGITS, "-o", "out.onnx", "--threads", 2,
                    "--steps", 3)

    def test_measured_peak_is_the_planned_one(self):
        self.check_measured(self.json_of(*self.predict, "--batch-size", 1024, "--micro-batch", 1024))
        self.check_measured(self.json_of(*self.fit, "--batch-size", 512, "--micro-batch", 512))

    def limit_between(self, low, high, share):
        """A limit that is `share` of the way from one plan to the other."""
        plan = low["planned_peak_bytes"]
        plan += int(share * (high["planned_peak_bytes"] - plan))
        return max(low["base_rss_bytes"], high["base_rss_bytes"]) + BASE_NOISE + plan

    def test_a_limit_shrinks_the_micro_batch_and_keeps_the_bits(self):
        for words, bits in ((self.predict, "output_sha256"), (self.fit, "weights_sha256")):
            sized = (*words, "--batch-size", 1024)
            whole = self.json_of(*sized, "--micro-batch", 1024)
            alone = self.json_of(*sized, "--micro-batch", 1)
            limit = self.limit_between(alone, whole, 0.1)
            small = self.json_of(*sized, "--memory-limit", limit)
            self.assertLess(small["micro_batch"], 1024)
            self.assertLess(small["planned_peak_bytes"], whole["planned_peak_bytes"])
            self.assertLessEqual(small["base_rss_bytes"] + small["planned_peak_bytes"], limit)
            self.assertEqual({small[bits], alone[bits]}, {whole[bits]})

    def test_a_pinned_micro_batch_is_refused_with_the_largest_that_fits(self):
        for words in (self.predict, self.fit):
            sized = (*words, "--batch-size", 1024, "--micro-batch")
            whole, alone = self.json_of(*sized, 1024), self.json_of(*sized, 1)
            for name in ("out.npy", "out.onnx"):
                (self.folder / name).unlink(missing_ok=True)
            limit = self.limit_between(alone, whole, 0.5)
            done = self.fail(1, *sized, 1024, "--memory-limit", limit, values=[1024])
            largest = int(done.stderr.split(" is the largest that fits")[0].split()[-1])
            self.assertTrue(1 <= largest < 1024, largest)
            self.succeed(*sized, largest, "--memory-limit", limit + BASE_NOISE)

    def test_runs_under_rlimit_data_of_base_plus_plan(self):
        for words in (self.predict, self.fit):
            free = self.json_of(*words, "--batch-size", 512, "--micro-batch", 512)
            limit = free["base_data_bytes"] + free["planned_peak_bytes"] + BASE_NOISE
            self.json_of(*words, "--batch-size", 512, "--micro-batch", 512,
                         limits=[(resource.RLIMIT_DATA, limit)])


if __name__ == "__main__":
    main()
