#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same model on Batchwise and on other servers, driven by turns with wrk and with batchwise load.

Each server runs alone, with the same number of threads, and is asked by a client on the same cores.
What runs from PyPI is installed once, each into an environment of its own; what cannot run is named
with its reason. Outputs are compared with ONNX Runtime's before anything is timed.
"""
import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODELS = {"mlp": ([784], 64), "cnn": ([1, 28, 28], 64), "resnet50": ([3, 224, 224], 8)}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="mlp,cnn", help="of: " + ", ".join(MODELS))
    parser.add_argument("--servers", default="batchwise,triton,mlserver,bentoml")
    parser.add_argument("--connections", default="1,8,32", help="of the closed loops")
    parser.add_argument("--rate-share", default="0.3,0.6,0.9",
                        help="open loops, as shares of the first peer's answers a second")
    parser.add_argument("--seconds", type=float, default=3, help="of one measurement (3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--lock", default="", help="a file to lock while a server is measured")
    parser.add_argument("--program", default=str(ROOT / "build/bin/batchwise"))
    parser.add_argument("--venv", default=os.environ.get("BATCHWISE_SERVE_VENV",
                                                         str(ROOT / "build/serve-venv")))
    return parser.parse_args()


def enter_environment(venv):
    """Runs this program again with NumPy and ONNX Runtime; skips with a line where they are not."""
    base = pathlib.Path(venv).resolve() / "base"
    if pathlib.Path(sys.prefix).resolve() == base:
        return
    python = base / "bin/python"
    ready = [python, "-c", "import numpy, onnx, onnxruntime"]
    if not python.exists() or subprocess.run(ready, capture_output=True, check=False).returncode:
        for command in ([sys.executable, "-m", "venv", str(base)],
                        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                         "numpy", "onnx==1.23.2", "onnxruntime==1.31.1"]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["?"])[-1]
                print(f"serve: skipped, no packages from PyPI: {reason}")
                sys.exit(77)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.execv(python, [str(python), str(HERE / "peers.py")] + sys.argv[1:])


@contextlib.contextmanager
def locked(path):
    """Alone on the machine, where others take the same lock."""
    if not path:
        yield
        return
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_model(name, folder, program):
    import onnx
    import servers
    shape, max_batch = MODELS[name]
    path = folder / f"{name}.onnx"
    if name == "resnet50":
        sys.path.insert(0, str(ROOT / "bench/peers"))
        import models
        shared = pathlib.Path(os.environ.get("BATCHWISE_SHARED_DIR", ROOT.parent / "shared"))
        source = shared / "models/light_resnet50.onnx"
        if not source.exists():
            raise servers.CannotRun("there is no models/light_resnet50.onnx")
        models.light_model(source, path)
    else:
        subprocess.run([program, "new", name, "--input", "x".join(map(str, shape)), "-o", path,
                        "--quiet"], check=True, stdout=subprocess.DEVNULL)
    graph = onnx.load(path).graph
    classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    return servers.ServedModel(name, path, graph.input[0].name, graph.output[0].name, shape,
                               classes, max_batch)


def write_body(server, model, encoding, row, path):
    """The request of one row; the bytes of it that are JSON, or None where all are."""
    if encoding == "json":
        path.write_text(json.dumps(server.json_request(model, row)))
        return None
    head = json.dumps({
        "parameters": {"binary_data_output": True},
        "inputs": [{"name": model.input_name, "shape": list(row.shape), "datatype": "FP32",
                    "parameters": {"binary_data_size": row.nbytes}}]}).encode()
    path.write_bytes(head + row.tobytes())
    return len(head)


def greatest_difference(server, model, row):
    """From ONNX Runtime's outputs, in parts of the largest of them."""
    import numpy as np
    import onnxruntime
    expected = onnxruntime.InferenceSession(str(model.path)).run(None, {model.input_name: row})[0]
    request = urllib.request.Request(server.url + server.infer_path(model),
                                     json.dumps(server.json_request(model, row)).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        outputs = np.asarray(server.json_outputs(json.load(reply)), np.float32).reshape(expected.shape)
    return float(np.abs(outputs - expected).max() / np.abs(expected).max())


def run_wrk(server, model, encoding, connections, body, seconds):
    path, json_bytes = body
    variables = {**os.environ, "REQUEST_BODY": str(path), "REQUEST_PATH": server.infer_path(model)}
    if json_bytes is not None:
        variables["REQUEST_JSON_BYTES"] = str(json_bytes)
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s",
                           str(HERE / "request.lua"), server.url], env=variables,
                          capture_output=True, text=True, check=False)
    line = [text for text in done.stdout.splitlines() if text.startswith("RESULT ")]
    if not line:
        return {"error": (done.stderr or done.stdout).strip().splitlines()[-1:]}
    rate, p50, p99, errors = map(float, line[0].split()[1:])
    return {"requests_per_s": rate, "p50_us": p50, "p99_us": p99, "errors": int(errors)}


def run_load(program, server, model, encoding, words, seconds):
    done = subprocess.run([program, "load", server.url, "--model", model.name, "--encoding", encoding,
                           "--duration", f"{seconds}s", "--warmup", "500ms", "--json", "--quiet",
                           *map(str, words)], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        return {"error": done.stderr.strip().splitlines()[:1]}
    report = json.loads(done.stdout)
    report["errors"] = report["failed"] + report["lost"] + report["refused"]
    return report


def print_row(server, model, encoding, driver, found):
    if "error" in found:
        print(f"{model.name:9} {encoding:7} {driver:22} {server.name:10} {found['error']}")
        return
    batch = f"{found['mean_batch']:6.1f}" if found.get("mean_batch") else "     -"
    print(f"{model.name:9} {encoding:7} {driver:22} {server.name:10} {found['requests_per_s']:9.0f}/s  "
          f"p50 {found['p50_us'] / 1e3:9.2f} ms  p99 {found['p99_us'] / 1e3:9.2f} ms  batch {batch}"
          f"  errors {found['errors']}", flush=True)


def measure(server, model, row, folder, arguments):
    """(answers a second by (encoding, driver)), printed as they come."""
    rates = {}
    for encoding in server.encodings:
        path = folder / "body"
        body = (path, write_body(server, model, encoding, row, path))
        for connections in map(int, arguments.connections.split(",")):
            with locked(arguments.lock):
                found = run_wrk(server, model, encoding, connections, body, arguments.seconds)
            print_row(server, model, encoding, f"wrk, {connections} conn.", found)
            rates[encoding, f"wrk, {connections}"] = found.get("requests_per_s", 0)
            if not server.has_v2:
                continue
            with locked(arguments.lock):
                found = run_load(arguments.program, server, model, encoding,
                                 ["--concurrency", connections], arguments.seconds)
            print_row(server, model, encoding, f"load, {connections} conn.", found)
            rates[encoding, f"load, {connections}"] = found.get("requests_per_s", 0)
        if not server.has_v2:
            continue
        # Equal load for all: shares of what the first one answers, which is a peer.
        most = max(rate for (kind, _), rate in rates.items() if kind == encoding)
        open_rates = arguments.open_rates.setdefault(
            (model.name, encoding),
            [most * float(share) for share in arguments.rate_share.split(",")])
        for rate in open_rates:
            with locked(arguments.lock):
                found = run_load(arguments.program, server, model, encoding,
                                 ["--rate", f"{rate:.0f}/s"], arguments.seconds)
            print_row(server, model, encoding, f"load, open {rate:.0f}/s", found)
    return rates


def run_model(name, all_servers, folder, arguments):
    import numpy as np
    from servers import CannotRun
    try:
        model = make_model(name, folder, arguments.program)
    except CannotRun as error:
        print(f"{name}: left out: {error}")
        return
    row = np.random.default_rng(0).random((1, *model.shape), np.float32)
    rates = {}
    # Peers first: the open loops of all are at shares of what the first of them answers.
    for server in sorted(all_servers, key=lambda one: one.name == "batchwise"):
        try:
            server.install()
            with locked(arguments.lock):
                start_s = server.start(model)
            idle = server.memory_bytes()
            difference = greatest_difference(server, model, row)
            if not difference < 1e-3:
                raise CannotRun(f"its outputs differ by {difference:.1e}")
            rates[server.name] = measure(server, model, row, folder, arguments)
            print(f"{name:9} {server.name}: starts in {start_s:.2f} s; {idle / 2**20:.0f} MiB idle, "
                  f"{server.memory_bytes() / 2**20:.0f} MiB after; outputs within {difference:.0e} "
                  "of ONNX Runtime's", flush=True)
        except (CannotRun, OSError, ValueError, KeyError) as error:
            print(f"{name:9} {server.name}: cannot run: {error}", flush=True)
        finally:
            server.stop()
    print_ratios(name, rates)


def print_ratios(name, rates):
    mine = rates.pop("batchwise", {})
    for cell, rate in mine.items():
        peers = {peer: found[cell] for peer, found in rates.items() if found.get(cell)}
        if peers and rate:
            best = max(peers, key=peers.get)
            print(f"{name:9} {cell[0]:7} {cell[1]:10} connections: {rate / peers[best]:.2f} x the "
                  f"best peer ({best})")


def main():
    arguments = parse_arguments()
    enter_environment(arguments.venv)
    arguments.open_rates = {}
    # A server is stopped with all its processes on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    import servers
    kinds = {"triton": servers.Triton, "mlserver": servers.MLServer, "bentoml": servers.BentoML}
    environments = pathlib.Path(arguments.venv).resolve()
    arguments.program = str(pathlib.Path(arguments.program).resolve())
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        common = (environments, folder / "servers", arguments.threads)
        chosen = []
        for name in arguments.servers.split(","):
            if name == "batchwise":
                chosen.append(servers.Batchwise(*common, program=arguments.program))
            elif name in kinds:
                chosen.append(kinds[name](*common))
            else:
                raise SystemExit(f"serve: {name} is unknown; there are batchwise, "
                                 + ", ".join(kinds))
            print(f"{name}: {chosen[-1].settings}")
        print()
        for name in arguments.models.split(","):
            run_model(name, chosen, folder, arguments)


if __name__ == "__main__":
    main()
