# SPDX-License-Identifier: Apache-2.0
"""Batchwise against ONNX's checker, ONNX Runtime and PyTorch.

  interop.py PART [--batchwise PROGRAM] [--venv FOLDER]

  exports        the checker accepts what `new` and `fit` write, and ONNX Runtime computes the
                 logits that `predict` does, to 1e-5 of the largest
  architectures  the nine light models with seeded weights, to 1e-4
  sgd_step       the weights after one step of MLP, CNN and ResNet-20: their error against PyTorch
                 in float64 is at most twice that of PyTorch in float32, tensor by tensor

Exit code 77: skipped. The packages are those of bench/peers; its virtual environment is used where
it exists (BATCHWISE_PEERS_VENV names another) and made where BATCHWISE_INTEROP=1.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SKIPPED = 77


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["exports", "architectures", "sgd_step"])
    parser.add_argument("--batchwise", default=str(ROOT / "build/bin/batchwise"))
    parser.add_argument("--venv", default=str(ROOT / "build/peers-venv"))
    return parser.parse_args()


def skip(reason):
    print(f"interop: skipped: {reason}")
    sys.exit(SKIPPED)


def enter_environment(venv):
    """Runs this program again with the packages."""
    venv = pathlib.Path(os.environ.get("BATCHWISE_PEERS_VENV", venv)).resolve()
    if pathlib.Path(sys.prefix).resolve() == venv:
        return
    python = venv / "bin/python"
    ready = [python, "-c", "import onnx, onnxruntime, torch"]
    if not python.exists() or subprocess.run(ready, capture_output=True, check=False).returncode:
        if os.environ.get("BATCHWISE_INTEROP") != "1":
            skip(f"no packages in {venv}; BATCHWISE_INTEROP=1 installs them from PyPI")
        requirements = str(ROOT / "bench/peers/requirements.txt")
        for command in ([sys.executable, "-m", "venv", str(venv)],
                        [python, "-m", "pip", "install", "-q", "-r", requirements]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                skip("PyPI gave no packages: " + (done.stderr.strip().splitlines() or ["?"])[-1])
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.execv(python, [str(python), str(HERE / "interop.py")] + sys.argv[1:])


def main():
    arguments = parse_arguments()
    enter_environment(arguments.venv)
    sys.path[:0] = [str(ROOT / "bench/peers")]
    import interop_parts  # needs the packages
    with tempfile.TemporaryDirectory(prefix="batchwise-interop-") as folder:
        failures = interop_parts.run(arguments.part, arguments.batchwise, pathlib.Path(folder))
    for failure in failures:
        print(f"interop: FAILED: {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
