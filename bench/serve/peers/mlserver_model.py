# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime as a model of MLServer, whose adaptive batching joins requests by rows."""
import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class OnnxModel(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["SERVE_THREADS"])
        self.session = onnxruntime.InferenceSession(os.environ["SERVE_MODEL"], options)
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype("float32")
        outputs = self.session.run(None, {self.input: rows})[0]
        return InferenceResponse(model_name=self.name,
                                 outputs=[NumpyCodec.encode_output(self.output, outputs)])
