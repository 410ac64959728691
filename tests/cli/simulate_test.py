# SPDX-License-Identifier: Apache-2.0
import json

from command_line import CommandLineTest, main

FIELDS = ("requests", "answered", "refused", "late", "requests_per_s", "goodput_per_s", "p50_us",
          "p90_us", "p99_us", "mean_batch")


class SimulateTest(CommandLineTest):
    def make_profile(self, name="profile.json"):
        rows = [{"batch_size": size, "median_us": 90 + 10 * size, "low_us": 88 + 10 * size,
                 "high_us": 95 + 10 * size, "bytes": 1000 * size} for size in (1, 8, 32)]
        (self.folder / name).write_text(json.dumps({"measurements": rows}))
        return name

    def test_policies(self):
        profile = self.make_profile()
        for policy in ("deadline", "delay", "greedy", "aimd", "adaptive"):
            for arrivals in ("poisson", "bursty", "diurnal"):
                words = ("simulate", "--profile", profile, "--rate", "9000/s", "--p99", "2ms",
                         "--policy", policy, "--arrivals", arrivals, "--requests", 20000)
                report = self.json_of(*words)
                for field in FIELDS:
                    self.assertIn(field, report)
                self.assertEqual(report["requests"], 20000)
                self.assertEqual(report["answered"] + report["refused"], 20000)
                self.assertLessEqual(report["goodput_per_s"], report["requests_per_s"])
                self.assertGreaterEqual(report["p50_us"], 100)
                again = self.json_of(*words)
                self.assertEqual({**report, "seconds": 0}, {**again, "seconds": 0})
        self.assertIn("answered", self.succeed("simulate", "--profile", profile, "--rate", 10,
                                               "--requests", 10).stdout)

    def test_a_list_of_arrivals(self):
        profile = self.make_profile()
        (self.folder / "trace.csv").write_text(
            "at_us,rows,timeout_us\n1000,1,5000\n0,1,5000\n\n1050,3,5000\n9000,40,200\n")
        report = self.json_of("simulate", "--profile", profile, "--arrivals", "trace.csv")
        # The one of 40 rows needs 580 us at least; the third waits for the second.
        self.assertEqual((report["answered"], report["refused"], report["late"]), (3, 1, 0))
        self.assertEqual(report["p99_us"], 170)

    def test_a_fleet_of_two_models(self):
        first, second = self.make_profile(), self.make_profile("second.json")
        report = self.json_of("simulate", "--profile", first, second, "--rate", "60000/s", "--rows",
                              "1..4", "--p99", "2ms,20ms", "--replicas", 8, "--instances", 2,
                              "--balancer", "two-choices", "--memory-limit", "64KiB",
                              "--vary-times", "--requests", 20000)
        self.assertGreater(report["answered"], 19000)

    def test_errors(self):
        profile = self.make_profile()
        words = ("simulate", "--profile", profile, "--rate", "500/s")
        self.fail(2, "simulate", "--rate", "500/s", values=["--profile"])
        self.fail(2, "simulate", "--profile", profile, values=["--rate"])
        self.fail(2, "simulate", "--profile", "none.json", "--rate", 5, values=["none.json"])
        (self.folder / "broken.json").write_text('{"measurements": [{"batch_size": 1}]}')
        self.fail(2, "simulate", "--profile", "broken.json", "--rate", 5,
                  values=["broken.json", "median_us"])
        self.fail(2, "simulate", "--profile", profile, "--rate", "fast", values=["fast"])
        self.fail(2, "simulate", "--profile", profile, "--rate", "-3/s", values=["-3/s"])
        self.fail(2, *words, "--policy", "soon", values=["soon", "greedy"])
        self.fail(2, *words, "--arrivals", "weekly", values=["weekly"])
        self.fail(2, *words, "--arrivals", "trace.csv", values=["--rate"])
        self.fail(2, *words, "--rows", "4..2", values=["4..2"])
        self.fail(2, *words, "--p99", "0ms", values=["0ms"])
        self.fail(2, *words, "--requests", 0)
        self.fail(2, *words, "--instances", 0)
        self.fail(2, *words, "--replicas", -1)
        self.fail(2, *words, "--balancer", "fair", values=["fair"])
        self.fail(2, *words, "--polcy", "greedy", values=["did you mean --policy?"])
        self.fail(1, *words, "--memory-limit", 999, values=[1000, 999])
        for text, value in (("rows\n1\n", "at_us"), ("at_us,size\n1,2\n", "size"), ("at_us\n", "no"),
                            ("at_us,rows\n1\n", "line 2"), ("at_us\nsoon\n", "soon"),
                            ("at_us,rows\n5,0\n", "rows"), ("at_us,model\n5,1\n", "model")):
            (self.folder / "bad.csv").write_text(text)
            self.fail(2, "simulate", "--profile", profile, "--arrivals", "bad.csv",
                      values=["bad.csv", value])


if __name__ == "__main__":
    main()
