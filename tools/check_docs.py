#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the documents to the code: the layer list in ARCHITECTURE.md, the licence line of each file,
no path of somebody's machine, links that lead somewhere, and sizes (a warning list).
With --run BUILD it runs the commands of the README and docs/deploy.md with BUILD's programs, in a
folder of their own, and holds what they print to the text block that follows them, if one does.
Usage: tools/check_docs.py [--run BUILD]"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from source_files import ROOT, repository_files

# The README's two commands set a machine up and build; CI runs what they do in its stages.
NOT_RUN = ("./dev demo", "./dev test", "git clone", "cd ")
# Their `sh` blocks are run.
RUN_DOCUMENTS = ("README.md", "docs/deploy.md")
# Simulated times go through the mathematics library, whose last bit is not every machine's.
NUMBER_TOLERANCE = 0.03
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SPDX = "SPDX-License-Identifier: Apache-2.0"
# Formats without comments, texts of others, and prose.
WITHOUT_SPDX = {".md", ".json", ".gz", ".png", ".svg", ".npy", ".npz", ".onnx", ".pb", ".jpg", ".bin"}
NAMES_WITHOUT_SPDX = {"LICENSE", "NOTICE", ".gitignore", ".clang-format", "tidy_base"}
FOLDERS_WITHOUT_SPDX = ("data/", "fuzz/corpus/", "tests/golden/")
ABSOLUTE_PATH = re.compile(r"(?<![\w.$}/-])/(home|root|work|Users|workspace|mnt)/[\w.-]+")
# Where KServe puts a model, on every machine of its.
PRESCRIBED_PATH = "/mnt" "/models"
# foo-inl.h is code: kernels that are compiled once for each instruction set.
MAX_LINES = {"-inl.h": 500, ".h": 150, ".cc": 500, ".py": 500, ".js": 500, ".html": 500}


def shell_commands(text):
    """The lines of the README's sh blocks, continued lines joined."""
    commands = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip()
            if line and not line.startswith("#"):
                commands.append(line)
    return commands


def examples(text):
    """(command, what the document says it prints, or None), for each command of its sh blocks."""
    found = []
    blocks = re.compile(r"^```sh\n.*?^```(?:\n+```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
    for match in blocks.finditer(text):
        commands = shell_commands(match.group(0) if match.group(1) is None else
                                  match.group(0)[:match.group(0).index("```text")])
        found += [(command, None) for command in commands[:-1]]
        found += [(command, match.group(1)) for command in commands[-1:]]
    return found


def same_output(said, printed):
    """Whether words agree, and numbers but for a little."""
    numbers = zip(NUMBER.findall(said), NUMBER.findall(printed))
    return (NUMBER.sub("0", said).split() == NUMBER.sub("0", printed).split() and
            all(abs(float(a) - float(b)) <= NUMBER_TOLERANCE * float(b) for a, b in numbers))


def layer_faults(layers_text, architecture_text):
    lines = [line for line in layers_text.splitlines() if line and not line.startswith("#")]
    if "```\n" + "\n".join(lines) + "\n```" in architecture_text:
        return []
    return ["ARCHITECTURE.md: its list of layers is not that of src/layers.txt"]


def text_faults(path, text):
    faults = []
    needs_spdx = (path.suffix not in WITHOUT_SPDX and path.name not in NAMES_WITHOUT_SPDX
                  and not str(path).startswith(FOLDERS_WITHOUT_SPDX))
    if needs_spdx and SPDX not in "\n".join(text.splitlines()[:3]):
        faults.append(f"{path}:1: no line '{SPDX}'")
    for number, line in enumerate(text.splitlines(), 1):
        if ABSOLUTE_PATH.search(line.replace(PRESCRIBED_PATH, "")) and path.name != "check_docs_test.py":
            faults.append(f"{path}:{number}: a path of one machine: {line.strip()[:80]}")
    return faults


def link_faults(path, text, root):
    faults = []
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not (root / path.parent / target).exists():
            faults.append(f"{path}: link to {target}, which is not there")
    return faults


def readme_faults(text):
    commands = shell_commands(text)
    faults = [f"README.md: '{needed}' is missing" for needed in NOT_RUN[:2]
              if needed not in commands]
    for command in commands:
        if "../shared" in command or "http://" in command or "https://" in command:
            if not command.startswith("git clone"):
                faults.append(f"README.md: '{command}' needs more than the repository")
    return faults


def check(root):
    faults = layer_faults((root / "src/layers.txt").read_text(),
                          (root / "ARCHITECTURE.md").read_text())
    faults += readme_faults((root / "README.md").read_text())
    warnings = []
    for path in repository_files(root):
        try:
            text = (root / path).read_text()
        except UnicodeDecodeError:
            continue
        faults += text_faults(path, text)
        if path.suffix == ".md":
            faults += link_faults(path, text, root)
        num_lines = text.count("\n")
        limit = next((MAX_LINES[end] for end in MAX_LINES if path.name.endswith(end)), num_lines)
        if num_lines > limit:
            warnings.append(f"{path}: {num_lines} lines, more than {limit}")
    return faults, warnings


def run_document(path, scratch):
    """Runs a document's commands there. Returns how many, or None with a line where one fails."""
    commands = [(command, said) for command, said in examples(path.read_text())
                if not command.startswith(NOT_RUN)]
    for command, said in commands:
        print(f"$ {command}", flush=True)
        done = subprocess.run(["sh", "-c", command], cwd=scratch, check=False, text=True,
                              stdout=None if said is None else subprocess.PIPE)
        if done.returncode != 0:
            print(f"{path.name}: exit status {done.returncode}: {command}")
            return None
        if said is not None and not same_output(said, done.stdout):
            print(f"{path.name}: {command}\nprints\n{done.stdout}and not\n{said}")
            return None
    return len(commands)


def run_documents(root, build):
    """Runs commands in a folder that looks like the repository, outputs kept out."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("data", "examples", "include"):
            os.symlink(root / name, pathlib.Path(scratch) / name)
        os.symlink(pathlib.Path(build).resolve(), pathlib.Path(scratch) / "build")
        for name in RUN_DOCUMENTS:
            if not (root / name).exists():
                continue
            number = run_document(root / name, scratch)
            if number is None:
                return 1
            print(f"{number} commands of {name} ran")
    return 0


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--run":
        return run_documents(ROOT, sys.argv[2])
    faults, warnings = check(ROOT)
    for warning in warnings:
        print(f"warning: {warning}")
    for fault in faults:
        print(fault)
    print(f"docs: {len(faults)} faults, {len(warnings)} warnings")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
