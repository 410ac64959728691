# SPDX-License-Identifier: Apache-2.0
"""The files of the repository that the checks look at."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def repository_files(root=ROOT):
    """Paths relative to root: what git tracks, and new files that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root, check=True, capture_output=True, text=True).stdout
    paths = sorted({pathlib.PurePosixPath(name) for name in listed.split("\0") if name})
    return [path for path in paths if (pathlib.Path(root) / path).is_file()]
