# SPDX-License-Identifier: Apache-2.0
"""HTTP clients that are not ours against `batchwise serve`: tritonclient (sync and asyncio), a
TensorFlow Serving client by plain requests, and schemathesis with the server's own OpenAPI
document.

  http_clients.py PROGRAM [--venv FOLDER]

Exit code 77: skipped. The packages come from PyPI into a virtual environment of their own, made
where BATCHWISE_INTEROP=1; BATCHWISE_HTTP_CLIENTS_VENV names one that exists.
"""
import argparse
import asyncio
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
PACKAGES = ["tritonclient[http]", "requests", "schemathesis", "numpy"]
COLUMNS, CLASSES = 64, 10


def skip(reason):
    print(f"http_clients: skipped: {reason}")
    sys.exit(SKIPPED)


def enter_environment(venv):
    """Runs this program again with the packages."""
    venv = pathlib.Path(os.environ.get("BATCHWISE_HTTP_CLIENTS_VENV", venv)).resolve()
    if pathlib.Path(sys.prefix).resolve() == venv:
        return
    python = venv / "bin/python"
    ready = [python, "-c", "import tritonclient.http.aio, requests, schemathesis, numpy"]
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
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--venv", default="build/http-clients-venv")
    return parser.parse_args()


ARGUMENTS = parse_arguments()
enter_environment(ARGUMENTS.venv)

import numpy as np  # noqa: E402
import requests  # noqa: E402
import tritonclient.http as triton  # noqa: E402
import tritonclient.http.aio as triton_aio  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402


def infer_input(module, values, binary):
    tensor = module.InferInput("input", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


class HttpClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(cls.folder.name)
        program = str(ARGUMENTS.program.resolve())
        subprocess.run([program, "new", "mlp", "--input", str(COLUMNS), "--hidden", "32", "-o",
                        "mlp.onnx", "--quiet"], cwd=folder, check=True)
        cls.values = np.random.default_rng(5).standard_normal((7, COLUMNS)).astype(np.float32)
        np.save(folder / "x.npy", cls.values)
        subprocess.run([program, "predict", "mlp.onnx", "--data", "x.npy", "-o", "y.npy",
                        "--quiet"], cwd=folder, check=True)
        cls.wanted = np.load(folder / "y.npy")
        cls.server = subprocess.Popen([program, "serve", "mlp.onnx", "--http", "127.0.0.1:0"],
                                      cwd=folder, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
        for line in cls.server.stdout:
            if line.startswith("ready: http "):
                cls.address = line.split()[2].rstrip(",")
                return
        raise RuntimeError("the server did not start")

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        code = cls.server.wait(timeout=60)
        cls.server.stdout.close()
        cls.folder.cleanup()
        assert code == 0, f"the server ended with {code}"

    def test_triton_client_infers_with_the_bits_of_predict(self):
        with triton.InferenceServerClient(self.address) as client:
            for binary_in in (True, False):
                for binary_out in (True, False):
                    for packing in (None, "gzip", "deflate"):
                        result = client.infer(
                            "mlp", [infer_input(triton, self.values, binary_in)], request_id="7",
                            outputs=[triton.InferRequestedOutput("logits", binary_data=binary_out)],
                            timeout=10_000_000, priority=1,
                            request_compression_algorithm=packing,
                            response_compression_algorithm=packing)
                        np.testing.assert_array_equal(result.as_numpy("logits"), self.wanted)
                        self.assertEqual(result.get_response()["id"], "7")
            result = client.infer("mlp", [infer_input(triton, self.values, True)])
            np.testing.assert_array_equal(result.as_numpy("logits"), self.wanted)

    def test_triton_client_reads_what_the_server_is(self):
        with triton.InferenceServerClient(self.address) as client:
            self.assertTrue(client.is_server_live())
            self.assertTrue(client.is_server_ready())
            self.assertTrue(client.is_model_ready("mlp"))
            self.assertTrue(client.is_model_ready("mlp", "1"))
            self.assertFalse(client.is_model_ready("none"))
            self.assertIn("binary_tensor_data", client.get_server_metadata()["extensions"])
            metadata = client.get_model_metadata("mlp")
            self.assertEqual(metadata["inputs"],
                             [{"name": "input", "datatype": "FP32", "shape": [-1, COLUMNS]}])
            self.assertGreaterEqual(client.get_model_config("mlp")["max_batch_size"], 1)
            before = client.get_inference_statistics("mlp")["model_stats"][0]
            client.infer("mlp", [infer_input(triton, self.values, True)])
            after = client.get_inference_statistics("mlp")["model_stats"][0]
            self.assertEqual(after["inference_count"] - before["inference_count"], 7)
            index = client.get_model_repository_index()
            self.assertEqual([(e["name"], e["state"]) for e in index], [("mlp", "READY")])
            self.assertIn("log_info", client.get_log_settings())

    def test_triton_client_loads_again(self):
        with triton.InferenceServerClient(self.address) as client:
            client.load_model("mlp")
            self.assertTrue(client.is_model_ready("mlp"))
            with self.assertRaises(InferenceServerException):
                client.load_model("none")

    def test_what_is_not_done_is_refused_clearly(self):
        with triton.InferenceServerClient(self.address) as client:
            with self.assertRaisesRegex(InferenceServerException, "shared memory"):
                client.register_system_shared_memory("region", "/key", 64)
            tensor = triton.InferInput("input", [1, COLUMNS], "FP32")
            tensor.set_shared_memory("region", COLUMNS * 4)
            with self.assertRaisesRegex(InferenceServerException, "shared memory"):
                client.infer("mlp", [tensor])
            with self.assertRaisesRegex(InferenceServerException, "classification"):
                client.infer("mlp", [infer_input(triton, self.values, True)],
                             outputs=[triton.InferRequestedOutput("logits", class_count=3)])
            for name, shape, what in (("other", [1, COLUMNS], "other"), ("input", [1, 3], "3")):
                tensor = triton.InferInput(name, shape, "FP32")
                tensor.set_data_from_numpy(np.zeros(shape, np.float32))
                with self.assertRaisesRegex(InferenceServerException, what):
                    client.infer("mlp", [tensor])

    def test_triton_client_with_asyncio(self):
        async def ask_all():
            async with triton_aio.InferenceServerClient(self.address, conn_limit=32) as client:
                self.assertTrue(await client.is_server_ready())
                rows = [self.values[i % 7: i % 7 + 1] for i in range(200)]
                results = await asyncio.gather(*(
                    client.infer("mlp", [infer_input(triton_aio, row, True)]) for row in rows))
                for i, result in enumerate(results):
                    np.testing.assert_array_equal(result.as_numpy("logits"),
                                                  self.wanted[i % 7: i % 7 + 1])
        asyncio.run(ask_all())

    def test_tensorflow_serving_over_requests(self):
        url = f"http://{self.address}/v1/models/mlp"
        status = requests.get(url, timeout=20).json()["model_version_status"]
        self.assertEqual([(s["version"], s["state"]) for s in status], [("1", "AVAILABLE")])
        rows = self.values.tolist()
        session = requests.Session()  # asks for packed answers by itself
        for body, key in (({"instances": rows}, "predictions"),
                          ({"instances": [{"input": row} for row in rows]}, "predictions"),
                          ({"inputs": rows}, "outputs"), ({"inputs": {"input": rows}}, "outputs")):
            for path in (":predict", "/versions/1:predict"):
                answer = session.post(url + path, json=body, timeout=20)
                self.assertEqual(answer.status_code, 200, answer.text)
                np.testing.assert_array_equal(np.array(answer.json()[key], np.float32),
                                              self.wanted)
        wrong = session.post(url + ":predict", json={"instances": [{"b64": "AAAA"}]}, timeout=20)
        self.assertEqual(wrong.status_code, 400)
        self.assertIn("b64", wrong.json()["error"])

    def test_schemathesis_finds_the_document_true(self):
        """Without what would unload the model or quiet the log."""
        program = pathlib.Path(sys.prefix) / "bin/schemathesis"
        done = subprocess.run(
            [program, "run", f"http://{self.address}/openapi.json", "--max-examples", "20",
             "--seed", "1", "--exclude-path-regex", "repository/models|logging",
             "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
             "response_schema_conformance", "--workers", "1", "--no-color"],
            capture_output=True, text=True, check=False, timeout=500,
            cwd=self.folder.name)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
