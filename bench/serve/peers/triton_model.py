# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime in Triton's Python backend: the requests of a batch are run as one."""
import os
import sys

sys.path.insert(0, os.environ["SERVE_SITE_PACKAGES"])

import numpy as np
import onnxruntime
import triton_python_backend_utils as utils


class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["SERVE_THREADS"])
        self.session = onnxruntime.InferenceSession(os.environ["SERVE_MODEL"], options)
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name

    def execute(self, requests):
        rows = [utils.get_input_tensor_by_name(r, self.input).as_numpy() for r in requests]
        outputs = self.session.run(None, {self.input: np.concatenate(rows)})[0]
        responses, begin = [], 0
        for row in rows:
            part = outputs[begin:begin + len(row)]
            begin += len(row)
            responses.append(utils.InferenceResponse([utils.Tensor(self.output, part)]))
        return responses
