# SPDX-License-Identifier: Apache-2.0
"""The models that all engines are measured on, as ONNX files and as PyTorch modules."""
import math

import numpy as np
import onnx
from onnx import helper, numpy_helper


def random_weight(generator, name, shape):
    """Weights that keep activations in range: He-normal, normalizations near the identity."""
    if len(shape) >= 2:
        fan_in = math.prod(shape[1:])
        return generator.normal(0, math.sqrt(2 / fan_in), shape)
    values = generator.normal(0, 0.02, shape)
    # Caffe2's names: _s scale, _riv running variance, _rm running mean, _b bias.
    return values + 1 if name.endswith(("_s_0", "_riv_0")) or "var" in name else values


def light_model(source, target, seed=0, logits=False):
    """Writes one of the light models with seeded weights and a free batch, as peers want it.

    With `logits`, a closing Softmax, which such weights drive to 0 and 1, is left out.
    """
    model = onnx.load(source)
    graph = model.graph
    if logits:
        drop_softmax(graph)
    generator = np.random.default_rng(seed)
    constants = {t.name: t for t in graph.initializer}
    variances = {n.input[4] for n in graph.node if n.op_type == "BatchNormalization"}
    scales = {n.input[1] for n in graph.node if n.op_type == "BatchNormalization"}
    shapes = set()
    for node in [n for n in graph.node if n.op_type == "ConstantOfShape"]:
        shape = tuple(numpy_helper.to_array(constants[node.input[0]]))
        name = node.output[0]
        weight = random_weight(generator, "", shape)
        if name in variances or name in scales:
            weight = np.abs(weight) + 1
        shapes.add(node.input[0])
        graph.node.remove(node)
        graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), name))
    free_reshapes(graph, constants)
    for tensor in [t for t in graph.initializer if t.name in shapes]:
        graph.initializer.remove(tensor)
    names = {t.name for t in graph.initializer}
    for value in [v for v in graph.input if v.name in names or v.name in shapes]:
        graph.input.remove(value)
    for value in list(graph.input) + list(graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]
    model.ir_version = max(model.ir_version, 4)
    onnx.save(model, target)


def drop_softmax(graph):
    for node in [n for n in graph.node if n.op_type == "Softmax"]:
        if node.output[0] == graph.output[0].name:
            graph.output[0].name = node.input[0]
            graph.node.remove(node)


def free_reshapes(graph, constants):
    """A reshape to (1, ...) keeps the batch instead."""
    for node in [n for n in graph.node if n.op_type == "Reshape"]:
        target = numpy_helper.to_array(constants[node.input[1]]).copy()
        if target[0] == 1:
            target[0] = 0
            name = node.input[1] + "_free"
            graph.initializer.append(numpy_helper.from_array(target, name))
            node.input[1] = name


def weights_in_order(path):
    """(weight as PyTorch has it, bias) of every dense layer and convolution, in order."""
    model = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    result = []
    for node in model.graph.node:
        if node.op_type in ("Gemm", "Conv"):
            weight = constants[node.input[1]]
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            if node.op_type == "Gemm" and not transposed:
                weight = weight.T
            result.append((weight, constants[node.input[2]]))
    return result


def torch_model(name, path):
    """The MLP or the CNN in PyTorch with the weights of the ONNX file."""
    import torch
    from torch import nn

    if name == "mlp":
        module = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                               nn.Linear(512, 10))
    else:
        module = nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                               nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                               nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Linear(1024, 10))
    layers = [m for m in module if hasattr(m, "weight")]
    for layer, (weight, bias) in zip(layers, weights_in_order(path), strict=True):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.ascontiguousarray(weight)))
            layer.bias.copy_(torch.tensor(bias))
    return module
