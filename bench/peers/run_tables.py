# SPDX-License-Identifier: Apache-2.0
"""Measures the tables and prints them."""
import contextlib
import fcntl
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import models
import numpy as np
from engines import Worker, engines_of

PAUSE_S = 0.03  # in which the threads of the engine before stop spinning


def shared_dir():
    root = pathlib.Path(__file__).resolve().parents[2]
    return pathlib.Path(os.environ.get("BATCHWISE_SHARED_DIR", root.parent / "shared"))


def make_model(worker, name, folder):
    path = folder / f"{name}.onnx"
    if path.exists():
        return path
    if name in ("mlp", "cnn"):
        worker.ask(f"new {name} {path}")
    else:
        models.light_model(shared_dir() / f"models/light_{name}.onnx", path)
    worker.ask(f"model {name} {path}")
    return path


def sample_shape(name):
    return {"mlp": (784,), "cnn": (1, 28, 28)}.get(name, (3, 224, 224))


@contextlib.contextmanager
def locked(path):
    if not path:
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Table:
    def __init__(self, title, sizes, best=None):
        self.title, self.sizes = title, sizes
        self.best = best  # min or max: the round that counts, where others disturb the machine
        self.cells = {}  # engine -> size -> (median, spread, keeps bits)

    def add(self, engine, size, values, keeps_bits):
        middle = self.best(values) if self.best else statistics.median(values)
        low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else [middle] * 3
        spread = (high - low) / 2 / middle
        self.cells.setdefault(engine, {})[size] = (middle, spread, keeps_bits)

    def cell(self, engine, size):
        if size not in self.cells[engine]:
            return "-"
        middle, spread, keeps_bits = self.cells[engine][size]
        digits = 1 if middle < 100 else 0
        number = f"{middle:,.{digits}f}".replace(",", " ")
        return f"{number} ±{100 * spread:.0f}%" + ("" if keeps_bits else " !")

    def ratio(self, engine, size):
        ours, theirs = self.cells["Batchwise"].get(size), self.cells[engine].get(size)
        if ours is None or theirs is None:
            return None
        return ours[0] / theirs[0]

    def lines(self):
        rows = [["", *map(str, self.sizes)]]
        rows += [[engine, *(self.cell(engine, s) for s in self.sizes)] for engine in self.cells]
        peers = [e for e in self.cells if e != "Batchwise"]
        if "Batchwise" in self.cells:
            for peer in peers:
                ratios = [self.ratio(peer, s) for s in self.sizes]
                rows.append([f"Batchwise / {peer}",
                             *("-" if r is None else f"{r:.2f}" for r in ratios)])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        text = [f"## {self.title}", ""]
        for i, row in enumerate(rows):
            text.append("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |")
            if i == 0:
                text.append("|" + "|".join("-" * (w + 2) for w in widths) + "|")
        return text + [""]


def measure_size(table, engines, size, arguments):
    with locked(arguments.lock):
        for engine in engines:
            engine.prepare(size)
        values = {engine.name: [] for engine in engines}
        for _ in range(arguments.repeats):
            for engine in engines:
                time.sleep(PAUSE_S)
                values[engine.name].append(engine.measure(arguments.budget_ms))
        for engine in engines:
            table.add(engine.name, size, values[engine.name], engine.keeps_bits())
            engine.finish()
    print(f"peers: {table.title}: {size}: " +
          ", ".join(f"{e.name} {table.cell(e.name, size)}" for e in engines), file=sys.stderr)


def measure_table(name, title, sizes, worker, arguments, folder):
    model = name.removeprefix("fit-")
    path = make_model(worker, model, folder)
    wanted = arguments.engines.split(",") if arguments.engines else None
    count = 1 if name.startswith("fit-") else max(sizes)
    samples = np.random.default_rng(1).standard_normal((count, *sample_shape(model)))
    samples = samples.astype(np.float32)
    best = max if name.startswith("fit-") else min
    table = Table(title, sizes, best if arguments.best else None)
    engines = [make(worker, model, str(path), samples)
               for key, make in engines_of(name).items() if wanted is None or key in wanted]
    for size in sizes:
        measure_size(table, engines, size, arguments)
    return table


def cpu_model():
    with open("/proc/cpuinfo") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    return (f"{fields.get('model name', platform.machine())}, family {fields.get('cpu family', '?')}"
            f" model {fields.get('model', '?')}, {os.cpu_count()} cores")


def heading(worker, arguments):
    import onnxruntime
    import openvino
    import torch
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return [
        f"# Peers: {cpu_model()}", "",
        f"Batchwise {commit}, {worker.ask('about')}; onnxruntime {onnxruntime.__version__} (its"
        f" default settings, bound inputs and outputs), openvino {openvino.__version__.split('-')[0]}"
        f" (fixed batch, latency hint, f32), torch {torch.__version__} (eager).",
        f"Two threads each; {'the best' if arguments.best else 'median'} of {arguments.repeats}"
        f" rounds of {arguments.budget_ms:.0f} ms by turns, ± half the width of their middle half;"
        " `!`: the first sample's outputs do not have the bits of batch 1 (bare oneDNN and training"
        " are not compared). Ratios are of times, in training of samples/s.", ""]


def run(arguments, tables):
    worker = Worker(arguments.worker)
    text = heading(worker, arguments)
    print("\n".join(text))
    with tempfile.TemporaryDirectory(prefix="batchwise-peers-") as folder:
        folder = pathlib.Path(folder)
        for item in filter(None, arguments.profile.split(",")):
            what, model, batch = item.split(":")
            make_model(worker, model, folder)
            with locked(arguments.lock):
                print(worker.ask(f"profile {what} {model} {batch}").replace("\t", "\n"))
        if arguments.profile:
            return
        for name in arguments.tables.split(","):
            title, sizes = tables[name]
            if arguments.sizes:
                sizes = [int(s) for s in arguments.sizes.split(",")]
            lines = measure_table(name, title, sizes, worker, arguments, folder).lines()
            print("\n".join(lines), flush=True)
            text += lines
            if arguments.output:
                pathlib.Path(arguments.output).write_text("\n".join(text))
