#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails on an include that src/layers.txt does not allow, and on a vendor header outside the folder
that wraps it. Usage: tools/check_layers.py [ROOT]"""
import pathlib
import re
import sys

from source_files import ROOT, repository_files

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')

# A vendor's headers, and the folders that may see them. Folders outside src/ are named by their
# first part; tests of a folder may see what the folder may.
VENDORS = [
    (r"boost/", ["serve/http", "client", "bench"]),
    (r"grpcpp/|grpc\+\+/|grpc/|inference_proto/", ["serve/grpc", "client/grpc", "bench", "fuzz"]),
    (r"simdjson", ["serve/http", "client"]),
    (r"prometheus/", ["serve/http"]),
    (r"spdlog/", ["serve"]),
    (r"toml\+\+/", ["serve/config"]),
    (r"hwy/", ["backend/cpu", "bench"]),
    (r"(oneapi/)?dnnl|dnnl", ["backend/cpu", "bench"]),
    (r"onnx/", ["onnx_io", "tests", "fuzz"]),
    (r"google/protobuf/", ["onnx_io", "serve/config", "serve/grpc", "client/grpc", "tests",
                           "fuzz"]),
    (r"cuda|cudnn|cublas", ["backend/cuda"]),
    (r"sqlite3\.h", ["study", "tests"]),
    (r"openssl/", ["base", "serve/http", "serve/grpc"]),
    (r"zlib\.h|zconf\.h|jpeglib\.h|png\.h|archive", ["data", "serve/http", "serve/grpc", "tests"]),
    (r"CLI/", ["cli"]),
    (r"benchmark/", ["bench"]),
]
TEST_ONLY = re.compile(r"(gtest|gmock|rapidcheck)(/|\.h)")
CONCRETE_BACKEND = re.compile(r"backend/(reference|cpu|cuda)/")
# Clients of the public API: they see include/batchwise and themselves.
CLIENTS = ["cli", "examples", "python", "web"]
# Programs about the whole house.
WHOLE_HOUSE = ["tests", "fuzz", "bench"]
# What include/batchwise may include besides itself: the standard library, named without a dot.
STANDARD = re.compile(r"[a-z_0-9]+$")


def read_layers(text):
    """Maps each folder to its line number in layers.txt."""
    layers = {}
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines):
        for folder in line.split():
            if folder in layers:
                raise SystemExit(f"src/layers.txt names {folder} twice")
            layers[folder] = number
    return layers


def folder_of(name, layers):
    """The layer that an include path or a path below src/ belongs to, the longest that matches."""
    if name.startswith("batchwise/"):
        return "include/batchwise"
    parts = name.split("/")[:-1]
    while parts and "/".join(parts) not in layers:
        parts.pop()
    return "/".join(parts)


def place_of(path, layers):
    """(place, is_layer) of a file: its layer, or its first folder outside src/ and include/."""
    parts = path.parts
    if parts[0] == "src":
        return folder_of("/".join(parts[1:]), layers), True
    if parts[0] == "include":
        return "include/batchwise", True
    return parts[0], False


def vendor_fault(name, place, is_test):
    for pattern, places in VENDORS:
        if re.match(pattern, name) and place not in places:
            return f"vendor header <{name}> outside {', '.join(places)}"
    if TEST_ONLY.match(name) and not is_test:
        return f"test header <{name}> outside a test"
    return None


def own_fault(name, path, place, is_layer, is_test, layers):
    """What is wrong with a quoted include, or None."""
    target = folder_of(name, layers)
    if not is_layer:
        if place in WHOLE_HOUSE or target == "include/batchwise" or name.startswith(f"{place}/"):
            return None
        return f'"{name}": {place} is a client of include/batchwise only'
    if place == "":
        return "a folder that src/layers.txt does not name"
    if target == "":
        return f'"{name}" is not a full path from src/ or include/'
    if CONCRETE_BACKEND.match(name) and place != target and not is_test:
        if str(path) != "src/engine/backends.cc":
            return f'"{name}": only src/engine/backends.cc names a concrete backend'
    if target in (place, "include/batchwise") or layers[target] < layers[place]:
        return None
    return f'"{name}": {place} may not see {target} (src/layers.txt)'


def faults_of(path, text, layers):
    place, is_layer = place_of(path, layers)
    is_test = (path.stem.endswith("_test") or path.stem.startswith("test_")
               or place in WHOLE_HOUSE)
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        if quote == '"':
            fault = own_fault(name, path, place, is_layer, is_test, layers)
        else:
            fault = vendor_fault(name, place, is_test)
            if place == "include/batchwise" and not STANDARD.match(name):
                fault = f"<{name}> in a public header"
        if fault:
            faults.append(f"{path}:{number}: {fault}")
    return faults


def check(root):
    layers = read_layers((root / "src/layers.txt").read_text())
    faults = []
    for path in repository_files(root):
        if path.suffix in (".h", ".cc", ".cu"):
            faults += faults_of(path, (root / path).read_text(), layers)
    return faults


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    faults = check(root)
    for fault in faults:
        print(fault)
    print(f"layers: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
