# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime as a service of BentoML, with its adaptive batching."""
import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1, traffic={"timeout": 60})
class Onnx:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["SERVE_THREADS"])
        self.session = onnxruntime.InferenceSession(os.environ["SERVE_MODEL"], options)
        self.input = self.session.get_inputs()[0].name

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=int(os.environ["SERVE_MAX_BATCH"]),
                 max_latency_ms=1000)
    def infer(self, rows: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.input: rows.astype(np.float32)})[0]
