"""Dashboard and alert rules ask for metrics that exist, with labels that they have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from inference.recall_metrics import RecallMetrics
from learner.telemetry import LearnerMetrics

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "weldstream.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}


@pytest.fixture(scope="module")
def series() -> set[str]:
    registry = CollectorRegistry()
    InferenceMetrics(registry)
    LearnerMetrics(registry)
    RecallMetrics(registry)
    return {metric.name + suffix for metric in registry.collect() for suffix in SUFFIXES[metric.type]}


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (annotation["expr"] for annotation in DASHBOARD["annotations"]["list"])
    yield from (rule["expr"] for group in RULES["groups"] for rule in group["rules"])


def test_every_metric_asked_for_exists(series: set[str]) -> None:
    asked = {name for expression in expressions() for name in re.findall(r"\bweldstream_\w+", expression)}
    assert len(asked) > 10
    assert asked <= series, f"nobody measures {sorted(asked - series)}"


def test_every_expression_asks_for_something_of_ours() -> None:
    assert all("weldstream_" in expression for expression in expressions())


def test_the_dashboard_shows_what_operators_need() -> None:
    titles = {panel["title"] for panel in DASHBOARD["panels"]}
    assert titles >= {
        "Frames per second",
        "Latency",
        "Serving version",
        "Swaps",
        "Flag rate",
        "Uncertainty",
        "Labels",
        "Gate verdicts",
        "Memory by domain",
        "Lag",
        "Dead letters",
    }


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_reads_the_provisioned_source() -> None:
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel} == {
        source["uid"] for source in sources
    }


def test_every_alert_says_what_to_do() -> None:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["action"]


def test_prometheus_loads_the_rules() -> None:
    settings = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert [(DEPLOY / "prometheus" / name).exists() for name in settings["rule_files"]] == [True]
    assert {job["job_name"] for job in settings["scrape_configs"]} == {"inference", "recaller", "learner"}
