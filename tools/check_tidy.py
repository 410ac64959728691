#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy on the sources that differ from the commit named in tools/tidy_base: what is
older has not been held to it whole; --all shows what is left. A changed header is seen through the sources of its name.
Usage: tools/check_tidy.py --build DIR [--jobs N] [--all]"""
import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import sys

from source_files import ROOT


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=False)


def changed_files():
    """Names that differ from the base, new files among them; None where the base is unknown."""
    base = [line for line in (ROOT / "tools/tidy_base").read_text().split() if line][-1]
    changed = git("diff", "--name-only", "--diff-filter=d", base)
    if changed.returncode != 0:
        print(f"tidy: commit {base} is not in this clone: all files are checked")
        return None
    new = git("ls-files", "--others", "--exclude-standard")
    return set(changed.stdout.split() + new.stdout.split())


def compiled_sources(build):
    """The sources in the build's compile_commands.json, relative to the root."""
    entries = json.loads((ROOT / build / "compile_commands.json").read_text())
    sources = {pathlib.Path(entry["directory"], entry["file"]).resolve() for entry in entries}
    return sorted(source.relative_to(ROOT) for source in sources
                  if source.is_relative_to(ROOT) and not source.is_relative_to(ROOT / build))


def select(sources, changed):
    if changed is None:
        return sources
    stems = {pathlib.PurePath(name).with_suffix("") for name in changed if name.endswith(".h")}
    return [source for source in sources
            if source.as_posix() in changed or source.with_suffix("") in stems]


def tidy(build, source):
    done = subprocess.run(["clang-tidy-14", "--quiet", "-p", build, str(source)], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    return source, done.returncode, done.stdout + (done.stderr if done.returncode else "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    selected = select(compiled_sources(arguments.build),
                      None if arguments.all else changed_files())
    faulty = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for source, status, output in pool.map(lambda s: tidy(arguments.build, s), selected):
            if status != 0:
                faulty += 1
                print(f"{source}:\n{output}", flush=True)
    print(f"tidy: {faulty} of {len(selected)} files with faults")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
