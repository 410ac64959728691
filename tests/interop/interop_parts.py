# SPDX-License-Identifier: Apache-2.0
"""The parts of interop.py; each returns a list of failures."""
import importlib.metadata
import os
import pathlib
import statistics
import subprocess

import models
import numpy as np
import onnx
import onnxruntime
import torch_graph

SHARED = pathlib.Path(os.environ.get("BATCHWISE_SHARED_DIR",
                                     pathlib.Path(__file__).resolve().parents[3] / "shared"))
LIGHT_MODELS = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50",
                "shufflenet", "squeezenet", "vgg19", "zfnet512"]
SEEDS = 7
SHAPES = {"mlp": (784,), "cnn": (1, 28, 28), "resnet20": (3, 16, 16)}


def run(part, program, folder):
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}"
                         for p in ("onnx", "onnxruntime", "torch"))
    print(f"interop: {part} with {versions}")
    return {"exports": exports, "architectures": architectures,
            "sgd_step": sgd_step}[part](program, folder)


def batchwise(program, *words):
    command = [program, *map(str, words), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")


def new_model(program, name, path, seed=0):
    shape = "x".join(map(str, SHAPES[name]))
    batchwise(program, "new", name, "--input", shape, "--seed", seed, "-o", path)


def compare_with_onnxruntime(program, model, data, x, limit, folder):
    """Relative difference of the first output; a failure where it is above `limit`."""
    ours_path = folder / "ours.npy"
    batchwise(program, "predict", model, "--data", data, "-o", ours_path)
    ours = np.load(ours_path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0]
    dtype = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}[wanted.type]
    theirs = session.run(None, {wanted.name: x.astype(dtype)})[0]
    if ours.size != theirs.size:
        return [f"{model.name}: {ours.shape} outputs, ONNX Runtime has {theirs.shape}"]
    ours = ours.reshape(theirs.shape)
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    print(f"interop: {model.name}: max |a-b| / max |b| = {difference:.1e}, limit {limit:.0e}, "
          f"{len(x)} samples")
    return [] if difference <= limit else [f"{model.name}: {difference:.1e} is above {limit:.0e}"]


def exports(program, folder):
    failures = []
    generator = np.random.default_rng(3)
    for name, shape in SHAPES.items():
        x = generator.integers(0, 256, (256, *shape), dtype=np.uint8)
        y = generator.integers(0, 10, 256)
        np.savez(folder / "train.npz", x=x, y=y)
        np.savez(folder / "test.npz", x=x)
        fresh, trained = folder / f"{name}.onnx", folder / f"{name}-trained.onnx"
        new_model(program, name, fresh)
        batchwise(program, "fit", fresh, "--data", folder / "train.npz", "--steps", 20, "-o",
                  trained)
        for path in (fresh, trained):
            onnx.checker.check_model(str(path), full_check=True)
            failures += compare_with_onnxruntime(program, path, folder / "test.npz", x, 1e-5,
                                                 folder)
        print(f"interop: {name}: the checker of ONNX accepts both files")
    return failures


def architectures(program, folder):
    failures = []
    x = np.random.default_rng(5).standard_normal((2, 3, 224, 224)).astype(np.float32)
    np.savez(folder / "images.npz", x=x)
    for name in LIGHT_MODELS:
        source = SHARED / f"models/light_{name}.onnx"
        if not source.exists():
            print(f"interop: {name} skipped: no {source}")
            continue
        path = folder / f"{name}.onnx"
        models.light_model(source, path, logits=True)
        failures += compare_with_onnxruntime(program, path, folder / "images.npz", x, 1e-4, folder)
        path.unlink()
    return failures


def initializers(path):
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def sgd_step(program, folder):
    """The error of a tensor is the median over seeds of its root mean square: in a single one, a
    ReLU may switch on a last bit, and images are small so that few do. Batch normalization is ONNX's: running' = momentum * running + (1 - momentum) * batch,
    with the biased variance (PyTorch keeps the unbiased one, so that part is done by hand)."""
    failures = []
    for name, shape in SHAPES.items():
        ours, theirs = {}, {}
        for seed in range(SEEDS):
            generator = np.random.default_rng(seed)
            x = generator.standard_normal((32, *shape)).astype(np.float32)
            y = generator.integers(0, 10, 32)
            np.savez(folder / "step.npz", x=x, y=y)
            fresh, trained = folder / f"{name}.onnx", folder / f"{name}-step.onnx"
            new_model(program, name, fresh, seed)
            batchwise(program, "fit", fresh, "--data", folder / "step.npz", "--steps", 1,
                      "--batch-size", 32, "--lr", 0.5, "--normalize", "none", "-o", trained)
            stepped = initializers(trained)
            exact = torch_graph.sgd_step(fresh, x, y, 0.5, "float64")
            single = torch_graph.sgd_step(fresh, x, y, 0.5, "float32")
            for tensor, value in exact.items():
                ours.setdefault(tensor, []).append(rms(stepped[tensor] - value))
                theirs.setdefault(tensor, []).append(rms(single[tensor] - value))
        worst = ("", 0.0)
        for tensor in ours:
            error, allowed = statistics.median(ours[tensor]), statistics.median(theirs[tensor])
            ratio = error / max(allowed, 1e-30)
            worst = max(worst, (tensor, ratio), key=lambda pair: pair[1])
            if ratio > 2:
                failures.append(f"{name}: {tensor}: {error:.1e}, {ratio:.2f} times PyTorch's")
        print(f"interop: {name}: {len(ours)} tensors after one step, error at most {worst[1]:.2f} "
              f"times that of PyTorch in float32 ({worst[0]})")
    return failures


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
