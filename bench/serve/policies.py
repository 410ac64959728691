#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goodput of the policy `deadline` beside the best fixed setting of `delay`, found by trying all of a
grid on the same arrivals, and beside a bound for any schedule, over bench/serve/workloads.toml, in the
simulator; then how fast the simulator is."""
import argparse
import json
import math
import pathlib
import subprocess
import tomllib

HERE = pathlib.Path(__file__).parent


class Worker:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, cell):
        self.process.stdin.write(json.dumps(cell) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the worker ended with {self.process.wait()} at {cell}")
        return json.loads(answer)


def make_cell(config, workload, load, arrivals, options):
    return {"models": [config["models"][name] for name in workload["models"]],
            "deadlines": workload["deadlines"], "rows": workload.get("rows", [1, 1]), "load": load,
            "arrivals": arrivals, "requests": options.requests or config["requests"],
            "seed": options.seed, "ours_only": options.ours_only}


def setting(found):
    timeout = found["delay_timeout_us"]
    return (f"batch {found['delay_max_batch']:>3}, delay {found['delay_us']:.0f} us, timeout "
            + (f"{timeout:.0f} us" if timeout else "none"))


def geometric_mean(values):
    return math.exp(sum(math.log(max(v, 1e-9)) for v in values) / len(values))


def compare(worker, config, options):
    ratios = {}
    for workload in config["workloads"]:
        if options.only and options.only not in workload["name"]:
            continue
        for arrivals in options.arrivals or config["arrivals"]:
            for load in options.loads or config["loads"]:
                found = worker.ask(make_cell(config, workload, load, arrivals, options))
                text = (f"{workload['name']:16} {arrivals:8} load {load:4.2f}  in time: deadline "
                        f"{found['answered_share']:6.1%}  bound {found['bound_share']:6.1%}  "
                        f"p50 {found['deadline_p50_us']:6.0f} us, alone {found['single_p50_us']:6.0f}")
                if not options.ours_only:
                    ratio = found["answered_share"] / max(found["delay_share"], 1e-9)
                    ratios.setdefault((workload["group"], workload["wanted"]), []).append(ratio)
                    text += f"  delay {found['delay_share']:6.1%} ({setting(found)})  {ratio:5.2f}x"
                print(text, flush=True)
    for (group, wanted), values in ratios.items():
        print(f"{group}: geometric mean {geometric_mean(values):.3f}x (wanted {wanted}), least "
              f"{min(values):.3f}x, most {max(values):.3f}x of {len(values)} cells")


def measure_speed(worker, config):
    workload = {"models": ["mlp"], "deadlines": [20]}
    for policy in ("greedy", "delay", "aimd", "adaptive", "deadline"):
        options = argparse.Namespace(requests=1_000_000, seed=1, ours_only=True)
        cell = make_cell(config, workload, 0.8, "poisson", options) | {"speed": policy}
        found = worker.ask(cell)
        print(f"simulated requests a second, {policy:8} {found['median_per_s']:12,.0f} "
              f"({found['low_per_s']:,.0f} to {found['high_per_s']:,.0f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--only", default="", help="workloads with this in their name")
    parser.add_argument("--loads", type=float, nargs="*")
    parser.add_argument("--arrivals", nargs="*")
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ours-only", action="store_true", help="without the search over delay")
    parser.add_argument("--speed-only", action="store_true")
    options = parser.parse_args()
    config = tomllib.loads((HERE / "workloads.toml").read_text())
    worker = Worker(options.worker)
    if not options.speed_only:
        compare(worker, config, options)
    measure_speed(worker, config)


if __name__ == "__main__":
    main()
