#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Batchwise, bare oneDNN, ONNX Runtime, OpenVINO and PyTorch side by side, on two threads.

Every batch size is measured in rounds; in a round each engine has its turn, so that what disturbs
the machine disturbs all. A cell is the median over the rounds, with half the width of their middle
half in per cent.
Needs the packages of requirements.txt: makes a virtual environment for them once.
"""
import argparse
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = [1, 2, 8, 32, 128, 512, 2048]
TABLES = {
    "mlp": ("MLP 784-512-512-10, inference, us a call", SIZES),
    "cnn": ("CNN of 1x28x28, inference, us a call", SIZES),
    "resnet50": ("ResNet-50, inference, us a call", [1, 2, 8, 32]),
    "squeezenet": ("SqueezeNet, inference, us a call", [1, 2, 8, 32]),
    "shufflenet": ("ShuffleNet, inference, us a call", [1, 2, 8, 32]),
    "fit-mlp": ("MLP, training, samples/s", [1, 8, 32, 128, 512, 2048]),
    "fit-cnn": ("CNN, training, samples/s", [1, 8, 32, 128, 512, 2048]),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(TABLES), help="of: " + ", ".join(TABLES))
    parser.add_argument("--sizes", default="", help="batch sizes, such as 1,32")
    parser.add_argument("--engines", default="", help="batchwise,onednn,onnxruntime,openvino,torch")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (5)")
    parser.add_argument("--budget-ms", type=float, default=60, help="of one turn (60)")
    parser.add_argument("--best", action="store_true",
                        help="cells are best rounds, for a machine that others disturb")
    parser.add_argument("--lock", default="", help="a file to lock while a batch size is measured")
    parser.add_argument("--output", default="", help="also write the tables to this file")
    parser.add_argument("--profile", default="", metavar="predict|fit:MODEL:BATCH,...",
                        help="print Batchwise's time step by step instead")
    parser.add_argument("--worker", default=str(ROOT / "build/bin/bench_peers_worker"))
    parser.add_argument("--venv", default=os.environ.get("BATCHWISE_PEERS_VENV",
                                                         str(ROOT / "build/peers-venv")))
    return parser.parse_args()


def enter_environment(venv):
    """Runs this program again with the packages; skips with a line where there are none."""
    venv = pathlib.Path(venv).resolve()
    if pathlib.Path(sys.prefix).resolve() == venv:
        return
    python = venv / "bin/python"
    ready = [python, "-c", "import onnx, onnxruntime, openvino, torch"]
    if not python.exists() or subprocess.run(ready, capture_output=True, check=False).returncode:
        print(f"peers: installing the peers into {venv}", file=sys.stderr)
        for command in ([sys.executable, "-m", "venv", str(venv)],
                        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                         "-r", str(HERE / "requirements.txt")]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["?"])[-1]
                print(f"peers: skipped, no packages from PyPI: {reason}")
                sys.exit(77)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.execv(python, [str(python), str(HERE / "peers.py")] + sys.argv[1:])


def main():
    arguments = parse_arguments()
    enter_environment(arguments.venv)
    import run_tables  # needs the packages
    run_tables.run(arguments, TABLES)


if __name__ == "__main__":
    main()
