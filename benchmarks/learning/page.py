"""``docs/continual-learning.md``, made of the results that the last full run wrote."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.figures import Figure, markdown_table, read_results
from benchmarks.learning.methods import DARK, DEFAULT

_HEAD = """# Continual learning

Made of `benchmarks/results/learning.json`, which `make bench-learning` writes; nothing here is typed by hand, and a bar
that was missed is shown as missed. How it is run: [the laboratory](laboratory.md). Seeds and settings are in the last
column, every setting of every run in the report that the command writes beside.

Data: MNIST (LeCun, Cortes, Burges), scikit-learn's digits, magnetic tiles (Huang et al. 2018), NEU-Seg.
"""

_REASON = """
## The default, and why

The product learns by replay of a reservoir, and judges and releases a running average of the weights. Averages over the
domains at the end, in percent, on the same data with the same memory and the same number of steps:

{table}
Where classes are told apart, DER++ (Buzzega et al. 2020) is ahead, and a projection of the gradient (GEM), alone or
with replay, is behind. DER++ is not the default all the same: a step passes twice as many old samples, and a label is
answered once more before it is learned, for which all labels wait. Where no table of masks is shown below, none has
been run to its end, and the choice rests on the digits and on what labels wait for. A site that may not store scans
sets `memory.store` to `process` and chooses a strategy that needs none.
"""

_RIVALS = (DARK, "joint", "fine-tuning", "replay", "DER++", "GEM", "GEM with replay", "BI-R")
_WITH_200 = " 200"
"""End of the names of methods that have as much memory as the default where there are two sizes."""


def page(results: Path) -> str:
    """Return the page of a results folder; it says so where nothing has been measured yet."""
    path = results / "learning.json"
    if not path.exists():
        return f"{_HEAD}\nNot measured yet.\n"
    figures = read_results(path)
    parts = [_HEAD, _REASON.format(table=_beside_default(figures))]
    for title, group in groupby(figures, key=title_of):
        parts.append(f"\n## {title[0].upper()}{title[1:]}\n\n{markdown_table(list(group))}")
    return "".join(parts)


def title_of(figure: Figure) -> str:
    """Return the title of the table that a figure belongs to."""
    return figure.figure.partition(": ")[0] if ": " in figure.figure else "step times"


def _beside_default(figures: Sequence[Figure]) -> str:
    """Return a table with a row for each stream on which the default was run."""
    rows = ["".join(f"| {name} " for name in ("stream", DEFAULT, *_RIVALS)) + "|", "|---" * (2 + len(_RIVALS)) + "|"]
    rows += ["".join(f"| {cell} " for cell in row) + "|" for row in _rows(figures)]
    return "\n".join(rows) + "\n"


def _rows(figures: Sequence[Figure]) -> Iterator[list[str]]:
    averages = {f.figure: f.value for f in figures if f.unit == "%"}
    for name, value in averages.items():
        stream, _, method = name.rpartition(", ")
        if method == DEFAULT:
            names = ((f"{stream}, {rival}", f"{stream}, {rival}{_WITH_200}") for rival in _RIVALS)
            found = [averages.get(plain, averages.get(sized)) for plain, sized in names]
            if any(rival is not None for rival in found):
                yield [stream, f"{value:.1f}", *("" if rival is None else f"{rival:.1f}" for rival in found)]
