"""Pictures of the report as SVG whose colours are the page's: light and dark readable, no script, no file beside it."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

_CELL = 34
_LABEL = 118
_COLOURS = 8
"""Number of line colours that the page defines."""


def heat_map(matrix: Sequence[Sequence[float | None]], domains: Sequence[str]) -> str:
    """Draw R: a row for each domain that was learned, a column for each that was judged, in percent.

    Parameters
    ----------
    matrix : sequence of sequences
        (T + 1, T); the first row, before anything was learned, is drawn where it was measured.
    domains : sequence of str
        Names, in order.
    """
    labels = ["nothing yet", *(f"after {name}" for name in domains)]
    rows = [(label, row) for label, row in zip(labels, matrix, strict=True) if any(x is not None for x in row)]
    cell = _CELL if len(domains) <= 12 else 24  # noqa: PLR2004 - so that twenty fit a page
    label_width = min(260, max(_LABEL, 7 * max(len(label) for label, _ in rows) + 12))
    slanted = any(len(name) > 4 for name in domains)  # noqa: PLR2004 - what a cell is wide enough for
    top = 6 * max(map(len, domains)) // 2 + 26 if slanted else 22
    width = label_width + cell * len(domains) + (top if slanted else 8)
    parts = [_open(width, top + cell * len(rows) + 4, "matrix R")]
    for j, name in enumerate(domains):
        x, y = label_width + cell * j + cell / 2, top - 6
        turn = f' transform="rotate(-35 {x:.0f} {y:.0f})" text-anchor="start"' if slanted else ' text-anchor="middle"'
        parts.append(f'<text class="label" x="{x:.0f}" y="{y:.0f}"{turn}>{escape(name)}</text>')
    for i, (label, row) in enumerate(rows):
        y = top + cell * i
        parts.append(
            f'<text class="label" x="{label_width - 8}" y="{y + cell / 2 + 4:.0f}" text-anchor="end">'
            f"{escape(_short(label))}</text>"
        )
        for j, value in enumerate(row):
            if value is None:
                continue
            x = label_width + cell * j
            title = f"{label}, {domains[j]}: {100 * value:.1f} %"
            parts.append(
                f"<g><title>{escape(title)}</title>"
                f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" rx="3" class="heat"'
                f' style="--share:{max(0.0, min(1.0, value)):.3f}"/>'
                f'<text class="cell" x="{x + cell / 2 - 1:.0f}" y="{y + cell / 2 + 3:.0f}" text-anchor="middle">'
                f"{100 * value:.0f}</text></g>"
            )
    return "".join([*parts, "</svg>"])


def curves(methods: Mapping[str, Sequence[Mapping[str, Any]]], domain: int, colours: Mapping[str, int]) -> str:
    """Draw how the score on one domain went on while later ones were learned, a line for each method.

    Parameters
    ----------
    methods : mapping of str to sequence
        What was judged, as in :func:`~learner.lab.summary.summarise`.
    domain : int
        Which, from 0.
    colours : mapping of str to int
        The page's colour of each method.
    """
    lines = {
        name: [(look["step"], look["scores"][domain]) for look in looks if len(look["scores"]) > domain]
        for name, looks in methods.items()
    }
    lines = {name: line for name, line in lines.items() if len(line) > 1}
    if not lines:
        return ""
    width, height, left, bottom = 860, 230, 40, 26
    first: int = min(line[0][0] for line in lines.values())
    last: int = max(line[-1][0] for line in lines.values())
    lowest: float = min(score for line in lines.values() for _, score in line)
    floor = max(0.0, int(lowest * 5) / 5)

    def x(step: float) -> float:
        return left + (step - first) / max(1, last - first) * (width - left - 10)

    def y(score: float) -> float:
        return 8 + (1 - score) / max(1e-9, 1 - floor) * (height - bottom - 8)

    parts = [_open(width, height, "score while later domains are learned")]
    for tick in range(round(floor * 10), 11, 1 if floor > 0.5 else 2):  # noqa: PLR2004 - five to ten lines
        at = y(tick / 10)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 10}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="label" x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10 * tick}</text>')
    parts += [
        f'<line class="begin" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="8" y2="{height - bottom}"/>'
        for at in _begins(methods)
        if at >= first
    ]
    for name, line in lines.items():
        points = " ".join(f"{x(step):.1f},{y(score):.1f}" for step, score in line)
        parts.append(
            f'<polyline class="line c{colours[name] % _COLOURS}" points="{points}">'
            f"<title>{escape(name)}</title></polyline>"
        )
    parts.append(f'<text class="label" x="{width - 10}" y="{height - 6}" text-anchor="end">step {last}</text>')
    parts.append(f'<text class="label" x="{left}" y="{height - 6}">step {first}</text>')
    return "".join([*parts, "</svg>"])


def _begins(methods: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[int]:
    """Return the steps after which a domain begins."""
    looks = next(iter(methods.values()))
    return [before["step"] for before, after in pairwise(looks) if after["domain"] > before["domain"]]


def _short(text: str) -> str:
    return text if len(text) <= 36 else f"{text[:35]}…"  # noqa: PLR2004 - what the widest margin holds


def _open(width: float, height: float, title: str) -> str:
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" xmlns="http://www.w3.org/2000/svg">'
    )
