"""The report of a demo run: a JSON file for programs, a self-contained page for people."""

import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import jinja2

from schemas.events import GateVerdict, ReleaseKind
from stream.demo.ledger import Ledger, Way, percentiles

EXAM_END = "end"
MIN_GAIN = 0.05
"""Dice by which the served model beats the frozen one in every later domain."""
MAX_LOSS = 0.02
"""Dice that it may lose on the first domain."""


def exam_start(domain: str) -> str:
    """Return the name of the exam held when a domain begins."""
    return f"start:{domain}"


def build_report(
    ledger: Ledger,
    *,
    learned: int,
    seconds: Mapping[str, float],
    refused: Sequence[GateVerdict],
) -> dict[str, Any]:
    """Sum up a run.

    Parameters
    ----------
    ledger : Ledger
        The run's books.
    learned : int
        Labels that the learner reports as learned, those of the first model
        included. The others are held out: no training ever sees them.
    seconds : mapping of str to float
        Durations of ``setup``, ``first_model`` and ``streaming``.
    refused : sequence of GateVerdict
        Verdicts of candidates that were not released.

    Returns
    -------
    dict
        The content of ``demo-report.json``.
    """
    first_model = next((r.version.labels_learned for r in ledger.releases if r.kind is ReleaseKind.INITIAL), 0)
    ways = ledger.label_to_served()
    domains = [
        {"name": name, **_scores("dice", ledger, name), **_scores("class_dice", ledger, name)}
        for name in ledger.domains
    ]
    return {
        "frames": {
            "published": len(ledger.published),
            "judged": len(ledger.judged),
            "lost": ledger.lost,
            "judged_twice": ledger.judged_twice,
        },
        "labels": {
            "requested": len(ledger.requested),
            "answered": len(ledger.answered),
            "learned": learned - first_model,
            "learned_by_first_model": first_model,
            "served": len(ways),
        },
        "releases": [
            {
                "version": r.version.model.version,
                "kind": r.kind.value,
                "announced_at": r.announced_at.isoformat(),
                "first_judged_at": _moment(ledger.first_judged.get(r.version.model.version)),
                "metrics": r.version.metrics,
                "gate": None if r.version.gate is None else r.version.gate.model_dump(mode="json"),
            }
            for r in ledger.releases
        ],
        "refused": [verdict.model_dump(mode="json") for verdict in refused],
        "domains": domains,
        "alerts": dict(sorted(ledger.alerts.items())),
        "latency_ms": ledger.latency_ms(),
        "label_to_served_s": label_to_served(ways, len(ledger.answered)),
        "seconds": {part: round(value, 1) for part, value in seconds.items()},
    }


def label_to_served(ways: Sequence[Way], answered: int) -> dict[str, Any]:
    """Return percentiles of the seconds from a label to a served version that has learned it.

    ``p50`` and ``p99`` are of the labels that were served before the run
    ended, ``p50_of_all`` counts the others as longer than any (None if they
    are half of all), and ``parts`` are medians.
    """
    seconds = sorted(way.seconds for way in ways)
    middle = (answered - 1) // 2
    parts = {name: [way.parts[name] for way in ways] for name in (ways[0].parts if ways else ())}
    return {
        **percentiles(seconds),
        "p50_of_all": round(seconds[middle], 3) if 0 <= middle < len(seconds) else None,
        "parts": {name: percentiles(values)["p50"] for name, values in parts.items()},
    }


def shortcomings(report: Mapping[str, Any]) -> list[str]:
    """Return what the run failed to show, a sentence each; empty if it showed all."""
    found = []
    frames = report["frames"]
    if frames["lost"]:
        found.append(f"{frames['lost']} of {frames['published']} frames were never judged")
    if frames["judged_twice"]:
        found.append(f"{frames['judged_twice']} frames were judged more than once")
    if not any(r["kind"] == "release" for r in report["releases"]):
        found.append("no new model was released")
    for order, domain in enumerate(report["domains"]):
        frozen, served = domain["dice_frozen"], domain["dice_served_end"]
        if frozen is None or served is None:
            found.append(f"{domain['name']}: the final exam was not judged")
        elif order == 0 and served < frozen - MAX_LOSS:
            found.append(f"{domain['name']}: the first domain fell from {frozen} to {served}, by over {MAX_LOSS} Dice")
        elif order > 0 and served < frozen + MIN_GAIN:
            found.append(f"{domain['name']}: served {served} against frozen {frozen}, not {MIN_GAIN} Dice better")
    return found


def write_report(report: Mapping[str, Any], ledger: Ledger, folder: Path) -> tuple[Path, Path]:
    """Write ``demo-report.json`` and ``demo-report.html`` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    json_path, html_path = folder / "demo-report.json", folder / "demo-report.html"
    json_path.write_text(json.dumps(report, indent=2) + "\n")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        resources.files("stream.demo").joinpath("report.html.jinja").read_text()
    )
    html_path.write_text(
        template.render(
            report=report,
            shortcomings=shortcomings(report),
            dice_plot=dice_plot(ledger),
            latency_plot=latency_plot(ledger),
        )
    )
    return json_path, html_path


def dice_plot(ledger: Ledger) -> str:
    """Draw Dice per domain over time, served against frozen, as SVG markup."""
    from matplotlib.figure import Figure

    start = _start(ledger)
    rows = max(len(ledger.domains), 1)
    figure = Figure(figsize=(9, 1.9 * rows), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for panel, domain in zip(panels, ledger.domains, strict=False):
        for role, colour in (("frozen", "#9aa3ad"), ("served", "#0b6e4f")):
            times, values = ledger.series(domain, role)
            panel.plot([_since(start, t) for t in times], values, color=colour, marker=".", label=role)
        for at, began in ledger.domain_began:
            panel.axvline(_since(start, at), color="#c44536" if began == domain else "#dddddd", lw=1)
        panel.set(ylim=(0, 1), ylabel="Dice")
        panel.set_title(domain, fontsize=9, loc="left")
        panel.grid(alpha=0.3)
    panels[0].legend(loc="lower right", fontsize=8)
    panels[-1].set_xlabel("seconds of streaming (red: the domain begins)")
    return _svg(figure)


def latency_plot(ledger: Ledger) -> str:
    """Draw the latency of every judgement with the swaps marked, as SVG markup."""
    from matplotlib.figure import Figure

    start = _start(ledger)
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    panel = figure.subplots()
    panel.scatter(
        [_since(start, at) for at, _ in ledger.latencies],
        [1000 * seconds for _, seconds in ledger.latencies],
        s=5,
        color="#33658a",
        rasterized=True,
    )
    for index, at in enumerate(ledger.first_judged.values()):
        panel.axvline(_since(start, at), color="#c44536", lw=0.8, alpha=0.6, label="swap" if index == 0 else None)
    panel.set(yscale="log", xlabel="seconds of streaming", ylabel="latency, ms")
    panel.grid(alpha=0.3)
    if ledger.first_judged:
        panel.legend(loc="upper right", fontsize=8)
    return _svg(figure)


def _scores(score: Literal["dice", "class_dice"], ledger: Ledger, domain: str) -> dict[str, float | None]:
    """Return one score of the frozen model and of the served one, at the domain's start and at the run's end.

    ``dice`` is that of the defect pixels whatever their class, ``class_dice`` counts a pixel only with its class.
    """

    def value(role: str, exam: str) -> float | None:
        counts = ledger.exam(domain, role, exam)
        if counts is None:
            return None
        return round(counts.foreground_dice if score == "dice" else counts.dice, 4)

    return {
        f"{score}_frozen": value("frozen", EXAM_END),
        f"{score}_served_start": value("served", exam_start(domain)),
        f"{score}_served_end": value("served", EXAM_END),
    }


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    markup = buffer.getvalue()
    return markup[markup.index("<svg") :]


def _start(ledger: Ledger) -> datetime | None:
    return ledger.domain_began[0][0] if ledger.domain_began else None


def _since(start: datetime | None, at: datetime) -> float:
    return 0.0 if start is None else (at - start).total_seconds()


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
