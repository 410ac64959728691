# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared, each with how it is installed, started, asked and stopped.

A server runs one model, on loopback, in a process group of its own, which is ended as a whole.
"""
import ctypes
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"


@dataclasses.dataclass
class ServedModel:
    name: str
    path: pathlib.Path
    input_name: str
    output_name: str
    shape: list  # of a sample
    classes: int
    max_batch: int


class CannotRun(Exception):
    """Why a server is left out, in one line."""


def die_with_parent():
    """Called in a new process: the kernel ends it when the benchmark ends, however it ends."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def processes_of(group):
    """The processes of a group and all that descend from it, as /proc has them."""
    parents, found = {}, set()
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.name)] = int(fields[1])
        if int(fields[2]) == group:
            found.add(int(path.name))
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def pss_bytes(pids):
    """Memory that belongs to these processes, what they share counted once."""
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


class Server:
    """`name`, the `packages` of its virtual environment, and what is worth saying about its set-up."""
    name = ""
    packages = ()
    settings = ""
    encodings = ("json",)  # of tensors over HTTP
    has_v2 = True          # batchwise load can drive it
    has_statistics = False

    def __init__(self, environments, scratch, threads):
        self.environment = environments / self.name
        self.folder = scratch / self.name
        self.threads = threads
        self.process = None
        self.log = None

    @property
    def python(self):
        return self.environment / "bin/python"

    @property
    def site_packages(self):
        return next((self.environment / "lib").glob("python3*/site-packages"))

    def install(self):
        """Makes the virtual environment once; raises CannotRun with pip's reason."""
        done = self.environment / "installed"
        wanted = "\n".join(self.packages)
        if not self.packages or (done.exists() and done.read_text() == wanted):
            return
        print(f"serve: installing {self.name} into its environment", file=sys.stderr)
        for command in ([sys.executable, "-m", "venv", str(self.environment)],
                        [str(self.python), "-m", "pip", "install", "-q",
                         "--disable-pip-version-check", *self.packages]):
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                reason = (result.stderr.strip().splitlines() or ["?"])[-1]
                raise CannotRun(f"no packages from PyPI: {reason}")
        done.write_text(wanted)

    def command(self, model):
        """(argv, environment variables) that serve the model at self.port; files go to self.folder."""
        raise NotImplementedError

    def start(self, model, timeout_s=120):
        """Starts it and waits for the first right answer to a readiness request; the seconds it took."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        argv, variables = self.command(model)
        self.log = open(self.folder / "log.txt", "w", encoding="utf-8")
        variables = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", **variables}
        begin = time.monotonic()
        self.process = subprocess.Popen([str(word) for word in argv], cwd=self.folder,
                                        env=variables, stdout=self.log, stderr=self.log,
                                        start_new_session=True, preexec_fn=die_with_parent)
        while time.monotonic() - begin < timeout_s:
            if self.process.poll() is not None:
                break
            if self.is_ready(model):
                return time.monotonic() - begin
            time.sleep(0.01)
        reason = self.last_words()
        self.stop()
        raise CannotRun(f"did not start: {reason}")

    def is_ready(self, model):
        try:
            with urllib.request.urlopen(f"{self.url}{self.ready_path(model)}", timeout=2) as reply:
                return reply.status == 200
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def ready_path(self, model):
        return f"/v2/models/{model.name}/ready"

    def infer_path(self, model):
        return f"/v2/models/{model.name}/infer"

    def json_request(self, model, rows):
        """The body that asks for the outputs of some rows, a NumPy array."""
        return {"inputs": [{"name": model.input_name, "shape": list(rows.shape), "datatype": "FP32",
                            "data": rows.ravel().tolist()}]}

    def json_outputs(self, reply):
        """The numbers of the first output, nested or flat."""
        return reply["outputs"][0]["data"]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def memory_bytes(self):
        return pss_bytes(processes_of(self.process.pid))

    def last_words(self):
        self.log.flush()
        lines = (self.folder / "log.txt").read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if "rror" in line]
        return ((errors or lines or ["nothing in its log"])[-1])[:300]

    def stop(self):
        if self.process is None:
            return
        pids = processes_of(self.process.pid)
        for send, patience_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            for pid in pids:
                try:
                    os.kill(pid, send)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + patience_s
            while time.monotonic() < end:
                self.process.poll()
                pids = {pid for pid in pids if pathlib.Path(f"/proc/{pid}/stat").exists()
                        and not pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
                        .split()[0] == "Z"}
                if not pids:
                    break
                time.sleep(0.05)
        self.process.wait()
        self.process = None
        self.log.close()


class Batchwise(Server):
    name = "batchwise"
    encodings = ("binary", "json")
    has_statistics = True
    settings = "policy deadline, defaults; --p99 2s for ResNet-50, which may take longer than 100 ms"

    def __init__(self, *arguments, program):
        super().__init__(*arguments)
        self.program = program

    def command(self, model):
        shutil.copy(model.path, self.folder / f"{model.name}.onnx")
        return ([self.program, "serve", f"{model.name}.onnx", "--http", f"127.0.0.1:{self.port}",
                 "--threads", self.threads, *(["--p99", "2s"] if model.name == "resnet50" else [])],
                {})


class Triton(Server):
    """The server that nvidia-pytriton carries, with its Python backend."""
    name = "triton"
    packages = ("nvidia-pytriton==0.7.0", "onnxruntime==1.31.1", "numpy<2")
    encodings = ("binary", "json")
    has_statistics = True
    settings = ("tritonserver of nvidia-pytriton 0.7.0, Python backend over ONNX Runtime 1.31.1, "
                "dynamic batcher with delay 0")

    def command(self, model):
        parts = self.site_packages / "pytriton/tritonserver"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = parts / "python_backend_stubs" / version / "triton_python_backend_stub"
        if not stub.exists():
            raise CannotRun(f"no stub of the Python backend for Python {version}")
        backends = self.folder / "backends"
        shutil.copytree(parts / "backends", backends)
        shutil.copy(stub, backends / "python")
        (backends / "python" / stub.name).chmod(0o755)
        utils = backends / "python/triton_python_backend_utils.py"
        utils.write_text(f"import sys; sys.path.insert(0, {str(self.site_packages)!r})\n"
                         + utils.read_text())
        repository = self.folder / "repository" / model.name
        (repository / "1").mkdir(parents=True)
        shutil.copy(PEERS / "triton_model.py", repository / "1/model.py")
        dims = ",".join(map(str, model.shape))
        (repository / "config.pbtxt").write_text(
            f'name: "{model.name}" backend: "python" max_batch_size: {model.max_batch}\n'
            f'input [{{name: "{model.input_name}" data_type: TYPE_FP32 dims: [{dims}]}}]\n'
            f'output [{{name: "{model.output_name}" data_type: TYPE_FP32 dims: [{model.classes}]}}]\n'
            "dynamic_batching {}\ninstance_group [{kind: KIND_CPU count: 1}]\n")
        libraries = [self.site_packages / "nvidia_pytriton.libs",
                     pathlib.Path(sys.base_prefix) / "lib"]
        server = parts / "bin/tritonserver"
        server.chmod(0o755)
        argv = [server, f"--model-repository={repository.parent}",
                f"--backend-directory={backends}", "--http-address=127.0.0.1",
                f"--http-port={self.port}", "--allow-grpc=false", "--allow-metrics=false"]
        return argv, {"LD_LIBRARY_PATH": ":".join(map(str, libraries)),
                      "SERVE_SITE_PACKAGES": str(self.site_packages),
                      "SERVE_THREADS": str(self.threads), "SERVE_MODEL": str(model.path)}


class MLServer(Server):
    name = "mlserver"
    packages = ("mlserver==1.7.1", "onnxruntime==1.31.1")
    settings = "mlserver 1.7.1 over ONNX Runtime 1.31.1, max_batch_time 1 ms, no parallel workers"

    def command(self, model):
        shutil.copy(PEERS / "mlserver_model.py", self.folder / "onnx_model.py")
        (self.folder / "settings.json").write_text(json.dumps(
            {"host": "127.0.0.1", "http_port": self.port, "grpc_port": free_port(),
             "metrics_port": free_port(), "parallel_workers": 0, "debug": False}))
        shape = [-1, *model.shape]
        (self.folder / "model-settings.json").write_text(json.dumps(
            {"name": model.name, "implementation": "onnx_model.OnnxModel",
             "max_batch_size": model.max_batch, "max_batch_time": 0.001,
             "inputs": [{"name": model.input_name, "datatype": "FP32", "shape": shape}],
             "outputs": [{"name": model.output_name, "datatype": "FP32",
                          "shape": [-1, model.classes]}]}))
        return ([self.environment / "bin/mlserver", "start", "."],
                {"SERVE_THREADS": str(self.threads), "SERVE_MODEL": str(model.path),
                 "PYTHONPATH": str(self.folder)})


class BentoML(Server):
    name = "bentoml"
    packages = ("bentoml==1.4.39", "onnxruntime==1.31.1", "numpy")
    settings = "bentoml 1.4.39 over ONNX Runtime 1.31.1, max latency 1 s; driven by wrk only: no v2"
    has_v2 = False

    def command(self, model):
        shutil.copy(PEERS / "bento_service.py", self.folder / "service.py")
        return ([self.environment / "bin/bentoml", "serve", "service:Onnx", "--host", "127.0.0.1",
                 "--port", self.port],
                {"SERVE_THREADS": str(self.threads), "SERVE_MODEL": str(model.path),
                 "SERVE_MAX_BATCH": str(model.max_batch), "BENTOML_DO_NOT_TRACK": "True"})

    def ready_path(self, model):
        return "/readyz"

    def infer_path(self, model):
        return "/infer"

    def json_request(self, model, rows):
        return {"rows": rows.tolist()}

    def json_outputs(self, reply):
        return reply
