"""``docs/continual-learning.md``, made of the results that the last full run wrote."""

from itertools import groupby
from pathlib import Path

from benchmarks.figures import markdown_table, read_results

_HEAD = """# Continual learning

Made of `benchmarks/results/learning.json`, which `make bench-learning` writes; nothing here is typed by hand, and a bar
that was missed is shown as missed. How it is run: [the laboratory](laboratory.md). Seeds and settings are in the last
column, every setting of every run in the report that the command writes beside.

Data: MNIST (LeCun, Cortes, Burges), scikit-learn's digits, magnetic tiles (Huang et al. 2018), NEU-Seg.
"""


def page(results: Path) -> str:
    """Return the page of a results folder; it says so where nothing has been measured yet."""
    path = results / "learning.json"
    if not path.exists():
        return f"{_HEAD}\nNot measured yet.\n"
    figures = read_results(path)
    parts = [_HEAD]
    for title, group in groupby(figures, key=lambda f: f.figure.partition(":")[0] if ":" in f.figure else "Step times"):
        parts.append(f"\n## {title[0].upper()}{title[1:]}\n\n{markdown_table(list(group))}")
    return "".join(parts)
