"""The report: a self-contained page for people, a JSON file for programs."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from learner.lab.drawing import curves, heat_map
from learner.lab.results import Result
from learner.lab.summary import FRACTIONS, summarise

_EXPLAINED = {
    "average": "mean score over all domains at the end",
    "learning": "mean score on each domain right after it was learned",
    "forgetting": "mean drop from a domain's best score to the end",
    "backward transfer": "mean change from right after learning a domain to the end",
    "forward transfer": "mean gain on a domain from learning those before it",
    "min-ACC": "mean over past domains of the worst score each ever had after it was learned",
    "WC-ACC": "that and the newest domain, weighed by their numbers",
    "served": "mean score of the last served version on all domains begun",
    "served regret": "largest drop on a past domain of any served version from the best served before it",
    "refused releases": "share of the candidates that the gate refused",
    "hit rate": "share of the true indications that a judged pixel lies on, mean over domains",
    "false calls per frame": "judged indications without a true pixel",
    "ms per step": "median, draws and fills included, judging left out",
    "kept MB": "weights, moments, memory and what the strategy keeps",
    "resident MB": "growth of the process at its highest",
}
_LESS_IS_BETTER = {
    "forgetting",
    "served regret",
    "refused releases",
    "false calls per frame",
    "ms per step",
    "kept MB",
    "resident MB",
}


def write_report(
    results: Sequence[Result], folder: Path, *, title: str, notes: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.json`` and return their paths.

    Parameters
    ----------
    results : sequence of Result
        At least one.
    folder : Path
        Where to.
    title : str
        Heading.
    notes : sequence of str
        What a reader must know, a paragraph each.
    """
    summary = {"title": title, "notes": list(notes), "environment": results[0].environment, **summarise(results)}
    folder.mkdir(parents=True, exist_ok=True)
    html, data = folder / "report.html", folder / "report.json"
    data.write_text(json.dumps(summary, indent=1) + "\n")
    html.write_text(render(summary))
    return html, data


def render(summary: Mapping[str, Any]) -> str:
    """Return the page of a summary."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"score": score, "number": number}
    template = environment.from_string(resources.files("learner.lab").joinpath("report.html.jinja").read_text())
    streams = [{**stream, **_pictures(stream), "best": _best(stream)} for stream in summary["streams"]]
    return template.render({**summary, "streams": streams, "explained": _EXPLAINED})


def score(pair: Mapping[str, float | None] | None, column: str = "average") -> str:
    """Return mean and standard error as people read them; fractions in percent."""
    if pair is None or pair["mean"] is None:
        return "\N{EN DASH}"
    factor, digits = (100, 1) if column in FRACTIONS else (1, 2)
    text = f"{factor * pair['mean']:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return text if pair["error"] is None else f"{text} ± {factor * pair['error']:.{digits}f}"


def number(value: float | None) -> str:
    """Return a fraction in percent, a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{100 * value:.1f}"


def _pictures(stream: Mapping[str, Any]) -> dict[str, Any]:
    colours = {method["name"]: i for i, method in enumerate(stream["methods"])}
    judged = {method["name"]: method["curve"] for method in stream["methods"] if method["curve"]}
    maps = [
        {"name": method["name"], "svg": Markup(heat_map(method["matrix"], stream["domains"]))}  # noqa: S704 - ours, escaped
        for method in stream["methods"]
        if any(x is not None for row in method["matrix"][1:-1] for x in row)
    ]
    gaps = [
        {"name": domain, "svg": Markup(svg)}  # noqa: S704 - ours, escaped
        for j, domain in enumerate(stream["domains"][:-1])
        if (svg := curves(judged, j, colours))
    ]
    return {"maps": maps, "gaps": gaps, "colours": colours, "watched": list(judged)}


def _best(stream: Mapping[str, Any]) -> dict[str, str]:
    """Return for each column the method with the best mean; the joint one, an upper bound, does not compete."""
    best = {}
    for column in stream["columns"]:
        values = {
            m["name"]: m["scores"][column]["mean"]
            for m in stream["methods"]
            if column in m["scores"] and m["scores"][column]["mean"] is not None
            if m["settings"]["strategy"]["kind"] != "joint"
        }
        if len(values) > 1:
            pick = min if column in _LESS_IS_BETTER else max
            best[column] = pick(values, key=lambda name: values[name])
    return best
