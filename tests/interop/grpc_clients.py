# SPDX-License-Identifier: Apache-2.0
"""Clients that are not ours against our gRPC: tritonclient (sync, asyncio, streaming), grpcio with
server reflection, grpcio's health checking.

  grpc_clients.py ECHO_SERVER [BATCHWISE] [--venv FOLDER]

With BATCHWISE, the program, also against `batchwise serve --grpc`: the bits of `predict`, whatever
was batched with what, and a drain under load.

Exit code 77: skipped. The packages come from PyPI into a virtual environment of their own, made
where BATCHWISE_INTEROP=1; BATCHWISE_GRPC_CLIENTS_VENV names one that exists.
"""
import argparse
import asyncio
import concurrent.futures
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import unittest

SKIPPED = 77
PACKAGES = ["tritonclient[grpc]", "grpcio-reflection", "grpcio-health-checking", "ml_dtypes",
            "numpy"]


def skip(reason):
    print(f"grpc_clients: skipped: {reason}")
    sys.exit(SKIPPED)


def enter_environment(venv):
    """Runs this program again with the packages."""
    venv = pathlib.Path(os.environ.get("BATCHWISE_GRPC_CLIENTS_VENV", venv)).resolve()
    if pathlib.Path(sys.prefix).resolve() == venv:
        return
    python = venv / "bin/python"
    ready = [python, "-c", "import tritonclient.grpc, grpc_reflection, grpc_health, ml_dtypes"]
    if not python.exists() or subprocess.run(ready, capture_output=True, check=False).returncode:
        if os.environ.get("BATCHWISE_INTEROP") != "1":
            skip(f"no packages in {venv}; BATCHWISE_INTEROP=1 installs them from PyPI")
        for command in ([sys.executable, "-m", "venv", str(venv)],
                        [python, "-m", "pip", "install", "-q", *PACKAGES]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                skip("PyPI gave no packages: " + (done.stderr.strip().splitlines() or ["?"])[-1])
    os.execv(python, [str(python), *sys.argv])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("batchwise", nargs="?", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--venv", default="build/grpc-clients-venv")
    return parser.parse_args()


ARGUMENTS = parse_arguments()
enter_environment(ARGUMENTS.venv)

import grpc  # noqa: E402
import ml_dtypes  # noqa: E402
import numpy as np  # noqa: E402
import tritonclient.grpc as triton  # noqa: E402
import tritonclient.grpc.aio as triton_aio  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: E402
    ProtoReflectionDescriptorDatabase)
from tritonclient.utils import InferenceServerException  # noqa: E402

SERVICE = "inference.GRPCInferenceService"
# The model `types` has them in this order.
TYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
         "FP32", "FP64", "BF16"]


def is_repeated(field):
    if hasattr(field, "is_repeated"):  # since protobuf 6, which frowns on `label`
        return field.is_repeated
    return field.label == field.LABEL_REPEATED


def echo_input(module, values):
    values = np.asarray(values, np.float32).reshape(-1, 4)
    tensor = module.InferInput("in0", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values)
    return tensor


def typed_values(datatype):
    from tritonclient.utils import triton_to_np_dtype
    if datatype == "BF16":
        return np.array([[0.5, -2, 3]], ml_dtypes.bfloat16)
    dtype = triton_to_np_dtype(datatype)
    if datatype == "BOOL":
        return np.array([[True, False, True]])
    if datatype.startswith("FP"):
        return np.array([[0.1, -2.5, 3e4]], dtype)
    info = np.iinfo(dtype)
    return np.array([[info.min, info.max, 7]], dtype)


class GrpcClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([ARGUMENTS.server], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        cls.address = cls.server.stdout.readline().strip()

    @classmethod
    def tearDownClass(cls):
        cls.server.stdin.close()
        code = cls.server.wait(timeout=60)
        cls.server.stdout.close()
        assert code == 0, f"the server ended with {code}"

    def setUp(self):
        self.client = triton.InferenceServerClient(self.address)
        self.addCleanup(self.client.close)

    def test_health_and_metadata(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("echo"))
        self.assertFalse(self.client.is_model_ready("nothing"))
        self.assertEqual(self.client.get_server_metadata().name, "batchwise")
        model = self.client.get_model_metadata("echo")
        self.assertEqual([model.name, list(model.versions)], ["echo", ["1"]])
        self.assertEqual([model.inputs[0].name, model.inputs[0].datatype,
                          list(model.inputs[0].shape)], ["in0", "FP32", [-1, 4]])
        config = self.client.get_model_config("echo").config
        self.assertEqual([config.max_batch_size, config.input[0].name,
                          list(config.dynamic_batching.preferred_batch_size)],
                         [32, "in0", [4, 8]])
        row = self.client.get_inference_statistics("echo").model_stats[0]
        self.assertEqual([row.inference_count, row.execution_count,
                          row.inference_stats.success.ns, row.batch_stats[0].batch_size],
                         [7, 3, 250500, 4])
        index = self.client.get_model_repository_index().models
        self.assertEqual([(m.name, m.state, m.reason) for m in index],
                         [("echo", "READY", ""), ("broken", "UNAVAILABLE", "no such file")])

    def test_infer(self):
        values = [[1, 2.5, -3, 4e-20], [5, 6, 7, 8]]
        result = self.client.infer("echo", [echo_input(triton, values)], request_id="mine",
                                   outputs=[triton.InferRequestedOutput("out0")],
                                   timeout=5_000_000, priority=1)
        np.testing.assert_array_equal(result.as_numpy("out0"), np.asarray(values, np.float32))
        self.assertEqual(result.get_response().id, "mine")

    def test_compressed_requests(self):
        values = np.zeros((100, 4))
        for algorithm in ("gzip", "deflate"):
            result = self.client.infer("echo", [echo_input(triton, values)],
                                       compression_algorithm=algorithm)
            self.assertEqual(result.as_numpy("out0").shape, (100, 4))

    def test_all_types_as_bytes(self):
        inputs = []
        for i, datatype in enumerate(TYPES):
            tensor = triton.InferInput(f"in{i}", [1, 3], datatype)
            tensor.set_data_from_numpy(typed_values(datatype))
            inputs.append(tensor)
        result = self.client.infer("types", inputs)
        for i, datatype in enumerate(TYPES):
            np.testing.assert_array_equal(result.as_numpy(f"out{i}"), typed_values(datatype))

    def test_errors(self):
        def status(model="echo", shape=(1, 4), datatype="FP32", name="in0"):
            tensor = triton.InferInput(name, list(shape), datatype)
            tensor.set_data_from_numpy(np.zeros(shape, np.float64 if datatype == "FP64"
                                                else np.float32))
            with self.assertRaises(InferenceServerException) as caught:
                self.client.infer(model, [tensor])
            return caught.exception.status()

        self.assertEqual(status(model="nothing"), "StatusCode.NOT_FOUND")
        for wrong in ({"shape": (1, 5)}, {"shape": (4,)}, {"datatype": "FP64"}, {"name": "x"}):
            self.assertEqual(status(**wrong), "StatusCode.INVALID_ARGUMENT", wrong)

    def test_shared_memory_is_refused(self):
        for call in (lambda: self.client.register_system_shared_memory("a", "/a", 64),
                     self.client.get_system_shared_memory_status,
                     self.client.get_cuda_shared_memory_status):
            with self.assertRaises(InferenceServerException) as caught:
                call()
            self.assertEqual(caught.exception.status(), "StatusCode.UNIMPLEMENTED")

    def test_load_and_unload(self):
        self.client.load_model("echo", config='{"max_batch_size": 8}')
        self.client.unload_model("echo")
        with self.assertRaises(InferenceServerException) as caught:
            self.client.load_model("nothing")
        self.assertEqual(caught.exception.status(), "StatusCode.NOT_FOUND")

    def test_async_infer(self):
        results = queue.Queue()
        for i in range(50):
            self.client.async_infer("echo", [echo_input(triton, [i, 0, 0, 0])],
                                    lambda result, error, i=i: results.put((i, result, error)))
        for _ in range(50):
            i, result, error = results.get(timeout=30)
            self.assertIsNone(error)
            self.assertEqual(result.as_numpy("out0")[0, 0], i)

    def test_streaming(self):
        results = queue.Queue()
        self.client.start_stream(lambda result, error: results.put((result, error)))
        for i in range(50):
            self.client.async_stream_infer("echo", [echo_input(triton, [i, 0, 0, 0])],
                                           request_id=str(i))
        self.client.async_stream_infer("nothing", [echo_input(triton, [0, 0, 0, 0])])
        seen, errors = {}, 0
        for _ in range(51):
            result, error = results.get(timeout=30)
            if error is None:
                seen[result.get_response().id] = result.as_numpy("out0")[0, 0]
            else:
                errors += 1
        self.client.stop_stream()
        self.assertEqual(seen, {str(i): i for i in range(50)})
        self.assertEqual(errors, 1)

    def test_asyncio(self):
        async def ask():
            async with triton_aio.InferenceServerClient(self.address) as client:
                answers = await asyncio.gather(*(
                    client.infer("echo", [echo_input(triton_aio, [i, 0, 0, 0])])
                    for i in range(50)))

                async def requests():
                    for i in range(20):
                        yield {"model_name": "echo", "request_id": str(i),
                               "inputs": [echo_input(triton_aio, [i, 0, 0, 0])]}

                streamed = {}
                async for result, error in client.stream_infer(requests()):
                    self.assertIsNone(error)
                    streamed[result.get_response().id] = result.as_numpy("out0")[0, 0]
                return [a.as_numpy("out0")[0, 0] for a in answers], streamed

        answers, streamed = asyncio.run(ask())
        self.assertEqual(answers, list(range(50)))
        self.assertEqual(streamed, {str(i): i for i in range(20)})

    def test_health_service(self):
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for service in ("", SERVICE):
                reply = health.Check(health_pb2.HealthCheckRequest(service=service))
                self.assertEqual(reply.status, health_pb2.HealthCheckResponse.SERVING)
            with self.assertRaises(grpc.RpcError) as caught:
                health.Check(health_pb2.HealthCheckRequest(service="no.Such"))
            self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_reflection(self):
        from google.protobuf.descriptor_pool import DescriptorPool
        with grpc.insecure_channel(self.address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            self.assertIn(SERVICE, database.get_services())
            service = DescriptorPool(database).FindServiceByName(SERVICE)
        ours = {method.name for method in service.methods}
        # tritonclient carries the public protocol: an oracle for names and numbers.
        from tritonclient.grpc import service_pb2
        public = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        self.assertEqual(ours, {method.name for method in public.methods})
        for method in public.methods:
            for side in ("input_type", "output_type"):
                self.same_fields(getattr(service.methods_by_name[method.name], side),
                                 getattr(method, side))

    def same_fields(self, ours, public):
        """Every field of ours is the public one of that number: name, type, repeated."""
        for field in ours.fields:
            other = public.fields_by_number[field.number]
            self.assertEqual((field.name, field.type, is_repeated(field)),
                             (other.name, other.type, is_repeated(other)), ours.full_name)
            if field.message_type is not None:
                self.same_fields(field.message_type, other.message_type)
        if ours.name != "ModelConfig" and "config" not in ours.file.name:
            self.assertEqual(len(ours.fields), len(public.fields), ours.full_name)


@unittest.skipUnless(ARGUMENTS.batchwise, "without the program")
class GrpcServe(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.run_command("new", "mlp", "--input", "16", "--hidden", "32", "-o", "mlp.onnx")

    def run_command(self, *words):
        subprocess.run([ARGUMENTS.batchwise, *words, "--quiet"], cwd=self.folder, check=True,
                       capture_output=True)

    def start(self):
        process = subprocess.Popen([ARGUMENTS.batchwise, "serve", "mlp.onnx", "--http",
                                    "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--p99", "60s"],
                                   cwd=self.folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        for line in process.stdout:
            if line.startswith("ready:"):
                return process, line.split("grpc ")[1].split(",")[0].strip()
        raise AssertionError("the server does not start")

    def ask(self, address, body):
        """Runs body(client) in eight threads at once and gives the results."""
        def work():
            with triton.InferenceServerClient(address) as client:
                return body(client)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return [future.result() for future in [pool.submit(work) for _ in range(8)]]

    def infer(self, client, values):
        tensor = triton.InferInput("input", list(values.shape), "FP32")
        tensor.set_data_from_numpy(values)
        return client.infer("mlp", [tensor]).as_numpy("logits")

    def test_bits_are_those_of_predict(self):
        values = np.random.default_rng(0).normal(size=(256, 16)).astype(np.float32)
        np.save(self.folder / "x.npy", values)
        self.run_command("predict", "mlp.onnx", "--data", "x.npy", "-o", "out.npy")
        wanted = np.load(self.folder / "out.npy")
        process, address = self.start()

        def body(client):
            wrong = 0
            for rows in (1, 3, 7, 64, 1, 2, 33, 256):
                for begin in range(0, 256 - rows + 1, max(rows, 32)):
                    got = self.infer(client, values[begin:begin + rows])
                    wrong += not np.array_equal(got, wanted[begin:begin + rows])
            return wrong

        self.assertEqual(self.ask(address, body), [0] * 8)
        process.terminate()
        self.assertEqual(process.wait(timeout=60), 0)

    def test_drains_under_load(self):
        process, address = self.start()
        values = np.ones((1, 16), np.float32)
        started = threading.Barrier(9)

        def body(client):
            wanted = self.infer(client, values)
            started.wait()
            while True:
                try:
                    if not np.array_equal(self.infer(client, values), wanted):
                        return "a wrong value"
                except InferenceServerException as error:
                    return error.status()

        def stop():
            started.wait()
            process.terminate()

        stopper = threading.Thread(target=stop)
        stopper.start()
        self.assertEqual(self.ask(address, body), ["StatusCode.UNAVAILABLE"] * 8)
        stopper.join()
        self.assertEqual(process.wait(timeout=60), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
