# SPDX-License-Identifier: Apache-2.0
"""Runs and trains the ONNX graphs that `batchwise new` writes in PyTorch, in either precision."""
import numpy as np
import onnx
import torch
from torch.nn import functional

# Attributes of ONNX are float32.
DEFAULT_MOMENTUM = float(np.float32(0.9))
DEFAULT_EPSILON = float(np.float32(1e-5))


def attributes_of(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def batch_norm(x, scale, bias, mean, variance, attrs, statistics, names):
    momentum = attrs.get("momentum", DEFAULT_MOMENTUM)
    axes = [0, *range(2, x.dim())]
    batch_mean = x.mean(axes)
    batch_variance = x.var(axes, unbiased=False)
    for name, old, new in ((names[3], mean, batch_mean), (names[4], variance, batch_variance)):
        statistics[name] = momentum * old + (1 - momentum) * new.detach()
    return functional.batch_norm(x, None, None, scale, bias, training=True,
                                 eps=attrs.get("epsilon", DEFAULT_EPSILON))


def run_node(node, values, statistics):
    inputs = [values[name] for name in node.input]
    attrs = attributes_of(node)
    x = inputs[0]
    if node.op_type == "Gemm":
        weight = inputs[1].T if attrs.get("transB", 0) else inputs[1]
        return x @ weight + inputs[2]
    if node.op_type == "Conv":
        pads = attrs.get("pads", [0] * 4)
        assert pads[:2] == pads[2:]
        bias = inputs[2] if len(inputs) > 2 else None
        return functional.conv2d(x, inputs[1], bias, attrs.get("strides", [1, 1]), pads[:2],
                                 attrs.get("dilations", [1, 1]), attrs.get("group", 1))
    if node.op_type == "MaxPool":
        return functional.max_pool2d(x, attrs["kernel_shape"], attrs.get("strides"))
    if node.op_type == "BatchNormalization":
        return batch_norm(*inputs, attrs, statistics, list(node.input))
    simple = {"Relu": lambda: x.relu(), "Add": lambda: x + inputs[1],
              "Flatten": lambda: x.flatten(1), "GlobalAveragePool": lambda: x.mean((2, 3), True)}
    return simple[node.op_type]()


def sgd_step(path, x, y, learning_rate, dtype):
    """All float initializers after one step of gradient descent on the mean cross-entropy."""
    torch.set_num_threads(2)
    kind = getattr(torch, dtype)
    graph = onnx.load(path).graph
    values, parameters, statistics = {}, {}, {}
    moments = {name for n in graph.node if n.op_type == "BatchNormalization" for name in n.input[3:]}
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype != np.float32:
            continue
        value = torch.tensor(array, dtype=kind)
        if tensor.name not in moments:
            value.requires_grad_(True)
            parameters[tensor.name] = value
        values[tensor.name] = value
    values[graph.input[0].name] = torch.tensor(x, dtype=kind)
    for node in graph.node:
        values[node.output[0]] = run_node(node, values, statistics)
    logits = values[graph.output[0].name]
    functional.cross_entropy(logits, torch.tensor(y)).backward()
    with torch.no_grad():
        stepped = {name: (p - learning_rate * p.grad) for name, p in parameters.items()}
    return {name: v.numpy() for name, v in (stepped | statistics).items()}
