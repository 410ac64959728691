# SPDX-License-Identifier: Apache-2.0
"""What the tests of deploy/ read out of its files."""
import json
import re

import yaml


def documents(root):
    """Each YAML document below deploy/, as (path, value)."""
    for path in sorted((root / "deploy").rglob("*.y*ml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.relative_to(root), document


def containers(root):
    """(path, pod's fields, container) of what runs the server."""
    for path, document in documents(root):
        spec = document.get("spec", {})
        pod = spec.get("template", {}).get("spec", spec)
        for container in pod.get("containers", []):
            yield path, pod, container


def rules(root):
    text = (root / "deploy/prometheus/rules.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def panels(root):
    return json.loads((root / "deploy/grafana/batchwise.json").read_text(encoding="utf-8"))["panels"]


def expressions(root):
    """All of PromQL in deploy/, as (where, expression); Grafana's and the adapter's variables are
    filled in."""
    for rule in rules(root):
        yield rule.get("record") or rule["alert"], rule["expr"]
    for panel in panels(root):
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")
    for path, document in documents(root):
        for rule in document.get("rules", {}).get("custom", []) if isinstance(
                document.get("rules"), dict) else []:
            yield str(path), rule["seriesQuery"]
            yield str(path), rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace(
                "<<.LabelMatchers>>", 'namespace="n"')


def metric_names(expression):
    """The names of series in it: what is not in quotes, and is none of PromQL's own words."""
    bare = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"\b(?:nv_|batchwise)[\w:]*", bare))
