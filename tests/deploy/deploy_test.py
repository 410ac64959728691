# SPDX-License-Identifier: Apache-2.0
"""Holds deploy/ to linters and schemas of Debian, and to the server: its flags, its paths, its
metrics, and the time that it takes to stop.

  deploy_test.py ROOT BATCHWISE [unittest's arguments]
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import jsonschema

from deploy_files import containers, documents, expressions, metric_names, panels, rules

HERE = pathlib.Path(__file__).resolve().parent
YAMLLINT = ("{extends: default, rules: {document-start: disable, line-length: {max: 120},"
            " comments: {min-spaces-from-content: 1}}}")


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ms|s)", text).groups()
    return float(number) / (1000 if unit == "ms" else 1)


class DeployTest(unittest.TestCase):
    root = batchwise = None

    def run_tool(self, *words):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              check=False, cwd=self.root)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def source(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    # ---- form ----

    def test_yaml(self):
        self.run_tool("yamllint", "--strict", "-d", YAMLLINT, "deploy", "tests/deploy")

    def test_serving_runtime(self):
        schema = json.loads((HERE / "serving_runtime.schema.json").read_text(encoding="utf-8"))
        runtimes = [value for _, value in documents(self.root) if value.get("kind") == "ServingRuntime"]
        self.assertEqual(len(runtimes), 1)
        jsonschema.validate(runtimes[0], schema)
        services = [value for _, value in documents(self.root) if value.get("kind") == "InferenceService"]
        for service in services:
            model = service["spec"]["predictor"]["model"]
            self.assertEqual(model["runtime"], runtimes[0]["metadata"]["name"])
            formats = [one["name"] for one in runtimes[0]["spec"]["supportedModelFormats"]]
            self.assertIn(model["modelFormat"]["name"], formats)

    def test_grafana(self):
        schema = json.loads((HERE / "grafana.schema.json").read_text(encoding="utf-8"))
        dashboard = json.loads(self.source("deploy/grafana/batchwise.json"))
        jsonschema.validate(dashboard, schema)
        self.assertEqual(len({panel["id"] for panel in panels(self.root)}), len(panels(self.root)))
        taken = set()
        for panel in panels(self.root):
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, f"{panel['title']} lies on another panel")
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            taken |= cells

    def test_prometheus(self):
        if not shutil.which("promtool"):
            self.skipTest("no promtool (it is in Debian's package prometheus)")
        self.run_tool("promtool", "check", "config", "deploy/prometheus/prometheus.yml")
        self.run_tool("promtool", "test", "rules", "tests/deploy/rules_test.yml")

    # ---- what the server does ----

    def test_metrics_are_ones_that_the_server_has(self):
        known = set(re.findall(r'"((?:nv_|batchwise_)\w+)"', self.source("src/serve/http/metrics.cc")))
        self.assertGreater(len(known), 15)
        recorded = {rule["record"] for rule in rules(self.root) if "record" in rule}
        asked = 0
        for where, expression in expressions(self.root):
            for name in metric_names(expression):
                asked += 1
                plain = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertTrue(name in recorded or name in known or plain in known, f"{where}: {name}")
        self.assertGreater(asked, 40)

    def test_autoscaler_asks_for_what_the_adapter_makes(self):
        made, asked = set(), set()
        for _, value in documents(self.root):
            if value.get("kind") == "HorizontalPodAutoscaler":
                asked |= {metric["pods"]["metric"]["name"] for metric in value["spec"]["metrics"]}
            if isinstance(value.get("rules"), dict):
                made |= {rule["name"]["as"] for rule in value["rules"]["custom"]}
        self.assertEqual(asked, made)
        self.assertTrue(asked)

    def test_flags_are_ones_that_the_server_has(self):
        known = subprocess.run([self.batchwise, "serve", "--help"], capture_output=True, text=True,
                               check=False).stdout
        found = [word for _, _, container in containers(self.root) for word in container["args"]]
        found += json.loads(re.search(r"^CMD (\[.*?\])", self.source("deploy/Dockerfile").replace("\\\n", ""),
                                      re.MULTILINE).group(1))
        self.assertIn("--models", found)
        for flag in {word.split("=")[0] for word in found if word.startswith("--")}:
            self.assertRegex(known, rf"(?<![\w-]){flag}(?![\w-])")

    def test_probes_ask_paths_that_need_no_key(self):
        number = 0
        for path, _, container in containers(self.root):
            for probe, wanted in (("startupProbe", "/v2/health/ready"), ("readinessProbe", "/v2/health/ready"),
                                  ("livenessProbe", "/v2/health/live")):
                number += 1
                self.assertEqual(container[probe]["httpGet"]["path"], wanted, (path, probe))
            ports = [str(port.get("name", port["containerPort"])) for port in container["ports"]]
            self.assertIn(str(container["livenessProbe"]["httpGet"]["port"]), ports)
        self.assertEqual(number, 6)

    def test_grace_period_covers_the_drain(self):
        body = float(re.search(r"double body_timeout_s = ([\d.]+);",
                               self.source("src/serve/frontend_options.h")).group(1))
        checked = 0
        for path, pod, container in containers(self.root):
            if "terminationGracePeriodSeconds" not in pod:
                continue
            args = container["args"]
            wait = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
            needed = wait + seconds(args[args.index("--p99") + 1]) + body
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], needed, path)
            checked += 1
        self.assertEqual(checked, 1)

    def test_what_runs_is_confined(self):
        for path, pod, container in containers(self.root):
            confined = {**pod.get("securityContext", {}), **container["securityContext"]}
            self.assertTrue(confined["runAsNonRoot"], path)
            self.assertFalse(confined["allowPrivilegeEscalation"], path)
            self.assertTrue(confined["readOnlyRootFilesystem"], path)
            self.assertEqual(container["resources"]["requests"], container["resources"]["limits"], path)
            args = container["args"]
            self.assertEqual(args[args.index("--threads") + 1], container["resources"]["limits"]["cpu"], path)
        dockerfile = self.source("deploy/Dockerfile")
        self.assertIn("useradd --system --uid 10001", dockerfile)
        self.assertRegex(dockerfile, r"(?m)^USER 10001:10001$")
        self.assertRegex(dockerfile, r'(?m)^ENTRYPOINT \["batchwise"\]$')


if __name__ == "__main__":
    DeployTest.root = pathlib.Path(sys.argv.pop(1)).resolve()
    DeployTest.batchwise = sys.argv.pop(1)
    unittest.main()
