"""Results put together: for each stream and method the mean over seeds, with its standard error."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from learner.lab.metrics import mean_and_error
from learner.lab.results import Result, scores

FRACTIONS = (
    "average",
    "learning",
    "forgetting",
    "backward transfer",
    "forward transfer",
    "min-ACC",
    "WC-ACC",
    "served",
    "served regret",
    "refused releases",
    "hit rate",
)
"""Scores that people read in percent."""

ORDER = (*FRACTIONS, "false calls per frame", "ms per step", "kept MB", "resident MB")


def summarise(results: Sequence[Result]) -> dict[str, Any]:
    """Return everything that a report shows, as JSON values.

    Missing values are None: a standard error of one seed, a matrix entry that
    was never measured.

    Parameters
    ----------
    results : sequence of Result
        Any; those of one stream and one method's name are one row.
    """
    streams: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        streams.setdefault(result.stream, {}).setdefault(result.job.method.name, []).append(result)
    return {"streams": [_stream(name, methods) for name, methods in streams.items()]}


def _stream(name: str, methods: dict[str, list[Result]]) -> dict[str, Any]:
    any_result = next(iter(methods.values()))[0]
    rows = [_method(method, results) for method, results in methods.items()]
    return {
        "name": name,
        "score": any_result.score,
        "domains": [domain.name for domain in any_result.domains],
        "classes": list(any_result.classes),
        "seeds": sorted({r.job.seed for results in methods.values() for r in results}),
        "schedule": any_result.job.schedule.model_dump(),
        "network": any_result.job.network.name,
        "evaluated_on": any_result.job.evaluation.on,
        "columns": [column for column in ORDER if any(column in row["scores"] for row in rows)],
        "methods": rows,
    }


def _method(name: str, results: Sequence[Result]) -> dict[str, Any]:
    collected: dict[str, list[float]] = {}
    for result in results:
        costs = {
            "ms per step": 1000 * result.seconds_per_step,
            "kept MB": result.kept_bytes / 1e6,
            "resident MB": result.resident_bytes / 1e6,
        }
        for score, value in (scores(result) | costs).items():
            collected.setdefault(score, []).append(value)
    matrices = np.stack([result.array() for result in results])
    means = matrices.mean(axis=0)
    errors = matrices.std(axis=0, ddof=1) / np.sqrt(len(results)) if len(results) > 1 else np.full_like(means, np.nan)
    return {
        "name": name,
        "settings": results[0].job.method.model_dump(mode="json"),
        "seeds": [result.job.seed for result in results],
        "diverged": [result.job.seed for result in results if result.diverged is not None],
        "steps": results[0].steps,
        "scores": {score: _pair(values) for score, values in collected.items()},
        "matrix": _listed(means),
        "matrix_errors": _listed(errors),
        "domains": _domains(results),
        "curve": _curve(results),
        "served": _served(results),
    }


def _domains(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the last network's scores of each domain, with masks those of each class too."""
    rows = []
    for j, first in enumerate(results[0].domains):
        row: dict[str, Any] = {"name": first.name, "final": _pair([result.array()[-1, j] for result in results])}
        if first.dice:
            for part in ("dice", "iou"):
                values = np.array([getattr(result.domains[j], part) for result in results])
                row[part] = [_pair(list(column)) for column in values.T]
            hits = [d.hit_rate for d in (r.domains[j] for r in results) if d.hit_rate is not None]
            calls = [d.false_calls_per_frame for d in (r.domains[j] for r in results)]
            row["hit rate"] = _pair(hits)
            row["false calls per frame"] = _pair([c for c in calls if c is not None])
        rows.append(row)
    return rows


def _curve(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return what was judged within domains, the mean over seeds that were judged at the same steps."""
    looks = [result.looks for result in results if result.looks]
    if not looks:
        return []
    common = [rows for rows in looks if [r.step for r in rows] == [r.step for r in looks[0]]]
    return [
        {
            "step": rows[0].step,
            "domain": rows[0].domain,
            "scores": [float(x) for x in np.mean([row.scores for row in rows], axis=0)],
        }
        for rows in zip(*common, strict=True)
    ]


def _served(results: Sequence[Result]) -> dict[str, Any] | None:
    served = [result.served for result in results if result.served is not None]
    if not served:
        return None
    first = served[0]
    return {
        "versions": sum(len(s.versions) for s in served),
        "refused": sum(s.refused for s in served),
        "first_seed": [{"step": v.step, "domain": v.domain, "scores": list(v.scores)} for v in first.versions],
    }


def _pair(values: Sequence[float]) -> dict[str, float | None]:
    mean, error = mean_and_error([float(v) for v in values])
    return {"mean": None if np.isnan(mean) else mean, "error": None if np.isnan(error) else error}


def _listed(array: Any) -> list[list[float | None]]:
    return [[None if np.isnan(x) else float(x) for x in row] for row in array]
