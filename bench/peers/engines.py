# SPDX-License-Identifier: Apache-2.0
"""The engines, each as a function from (model, batch) to the median time of a call."""
import contextlib
import os
import statistics
import subprocess
import time

import models
import numpy as np

THREADS = 2
TRAINING_SAMPLES = 16384


def median_us(call, budget_ms):
    """As median_us of workload.h."""
    clock = time.perf_counter
    begin = clock()
    while True:
        call()
        if clock() - begin >= 0.2e-3 * budget_ms:
            break
    begin = clock()
    call()
    group = int(min(max(1e-3 / max(clock() - begin, 1e-7), 1), 1e4))
    times = []
    begin = clock()
    while True:
        start = clock()
        for _ in range(group):
            call()
        times.append((clock() - start) / group * 1e6)
        if clock() - begin >= 1e-3 * budget_ms:
            return statistics.median(times)


def thread_ids():
    return {int(name) for name in os.listdir("/proc/self/task")}


def spread_torch_threads(torch):
    """Puts each thread of PyTorch's OpenMP team on a core of its own, as a user can with
    OMP_PROC_BIND: left alone they meet on one core of a virtual machine after each pause."""
    others = sorted(os.sched_getaffinity(0))[1:] or [0]
    before = thread_ids()
    torch.set_num_threads(THREADS)
    torch.ones(1 << 20).add_(1)
    for index, thread in enumerate(sorted(thread_ids() - before)):
        os.sched_setaffinity(thread, {others[index % len(others)]})


@contextlib.contextmanager
def on_first_core():
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Worker:
    """The process that measures Batchwise and bare oneDNN."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"worker: '{line}' gave '{answer.strip()}'")
        return answer.strip()


class Batchwise:
    name = "Batchwise"

    def __init__(self, worker, model, path, samples):
        self.worker, self.model = worker, model

    def prepare(self, batch):
        self.batch = batch
        self.ask(1)

    def ask(self, budget_ms):
        return self.worker.ask(f"predict {self.model} {self.batch} {budget_ms}").split()

    def measure(self, budget_ms):
        us, self.same, _ = self.ask(budget_ms)
        return float(us)

    def keeps_bits(self):
        return self.same == "true"

    def finish(self):
        self.worker.ask("drop")


class BareOneDnn(Batchwise):
    name = "oneDNN, bare"

    def ask(self, budget_ms):
        return self.worker.ask(f"onednn {self.model} {self.batch} {budget_ms}").split()

    def measure(self, budget_ms):
        us, error, self.form = self.ask(budget_ms)
        assert float(error) < 1e-4, f"oneDNN differs from Batchwise by {error}"
        return float(us)

    def keeps_bits(self):
        return True  # not compared


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, worker, model, path, samples):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.samples = samples
        self.alone = self.outputs(1)

    def outputs(self, batch):
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: self.samples[:batch]})[0]

    def prepare(self, batch):
        import onnxruntime as ort
        self.first = self.outputs(batch)[0]
        self.binding = self.session.io_binding()
        data = ort.OrtValue.ortvalue_from_numpy(self.samples[:batch])
        self.binding.bind_ortvalue_input(self.session.get_inputs()[0].name, data)
        result = ort.OrtValue.ortvalue_from_numpy(self.outputs(batch))
        self.binding.bind_ortvalue_output(self.session.get_outputs()[0].name, result)

    def measure(self, budget_ms):
        return median_us(lambda: self.session.run_with_iobinding(self.binding), budget_ms)

    def keeps_bits(self):
        return self.first.tobytes() == self.alone[0].tobytes()

    def finish(self):
        self.binding = None


class OpenVino:
    name = "OpenVINO"

    def __init__(self, worker, model, path, samples):
        import openvino
        self.core = openvino.Core()
        self.path, self.samples = path, samples
        self.prepare(1)
        self.alone = self.first

    def prepare(self, batch):
        import openvino
        model = self.core.read_model(self.path)
        model.reshape([batch, *self.samples.shape[1:]])
        compiled = self.core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS,
            "INFERENCE_PRECISION_HINT": "f32"})
        self.request = compiled.create_infer_request()
        self.input = openvino.Tensor(np.ascontiguousarray(self.samples[:batch]))
        self.request.set_input_tensor(self.input)
        self.call()
        self.first = self.request.get_output_tensor().data[0].copy()

    def call(self):
        self.request.start_async()
        self.request.wait()

    def measure(self, budget_ms):
        return median_us(self.call, budget_ms)

    def keeps_bits(self):
        return self.first.tobytes() == self.alone.tobytes()

    def finish(self):
        self.request = None


class PyTorch:
    name = "PyTorch"

    def __init__(self, worker, model, path, samples):
        import torch
        spread_torch_threads(torch)
        self.torch = torch
        self.module = models.torch_model(model, path).eval()
        self.samples = torch.from_numpy(samples)
        with torch.inference_mode():
            self.alone = self.module(self.samples[:1])[0].numpy()

    def prepare(self, batch):
        self.input = self.samples[:batch].contiguous()
        with self.torch.inference_mode():
            self.first = self.module(self.input)[0].numpy()

    def measure(self, budget_ms):
        with self.torch.inference_mode(), on_first_core():
            return median_us(lambda: self.module(self.input), budget_ms)

    def keeps_bits(self):
        return self.first.tobytes() == self.alone.tobytes()

    def finish(self):
        self.input = None


class BatchwiseFit(Batchwise):
    def ask(self, budget_ms):
        return self.worker.ask(f"fit {self.model} {self.batch} {budget_ms}").split()

    def measure(self, budget_ms):
        us, self.micro_batch = self.ask(budget_ms)
        return self.batch * 1e6 / float(us)

    def keeps_bits(self):
        return True


class PyTorchFit:
    name = "PyTorch"

    def __init__(self, worker, model, path, samples):
        import torch
        spread_torch_threads(torch)
        torch.manual_seed(0)
        self.torch, self.model, self.path = torch, model, path
        shape = (TRAINING_SAMPLES, *samples.shape[1:])
        self.x = torch.randn(shape)
        self.y = torch.randint(0, 10, (TRAINING_SAMPLES,))

    def prepare(self, batch):
        self.batch = batch
        self.module = models.torch_model(self.model, self.path).train()
        self.optimizer = self.torch.optim.SGD(self.module.parameters(), lr=0.001, momentum=0.9)
        self.loss = self.torch.nn.CrossEntropyLoss()
        self.order = self.torch.randperm(TRAINING_SAMPLES)
        self.next = 0

    def step(self):
        if self.next + self.batch > TRAINING_SAMPLES:
            self.next = 0
        rows = self.order[self.next:self.next + self.batch]
        self.next += self.batch
        self.optimizer.zero_grad()
        self.loss(self.module(self.x[rows]), self.y[rows]).backward()
        self.optimizer.step()

    def measure(self, budget_ms):
        with on_first_core():
            return self.batch * 1e6 / median_us(self.step, budget_ms)

    def keeps_bits(self):
        return True

    def finish(self):
        self.module = self.optimizer = None


def engines_of(table):
    if table.startswith("fit-"):
        return {"batchwise": BatchwiseFit, "torch": PyTorchFit}
    engines = {"batchwise": Batchwise, "onednn": BareOneDnn, "onnxruntime": OnnxRuntime,
               "openvino": OpenVino, "torch": PyTorch}
    if table != "mlp":
        del engines["onednn"]
    if table not in ("mlp", "cnn"):
        del engines["torch"]
    return engines
