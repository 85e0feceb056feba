"""What results are held against."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, measured
from benchmarks.learning.table import Book, Judge, Scores, Table

PUBLISHED: Mapping[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text("utf-8"))
"""Published and measured averages in percent, by table, stream and method."""

SLACK = 1.0
"""Points by which a method may be under the figure it is compared with."""


def published(table: str, streams: Mapping[str, str], measured_table: str | None = None) -> Judge:
    """Return what holds methods against a published table.

    Parameters
    ----------
    table : str
        Key in the file of published figures.
    streams : mapping of str to str
        Name of the stream to its key there.
    measured_table : str or None
        Key of what the authors' own code gave: where there is such a figure
        it is the bar, as it was made on a stream of known make.
    """

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream, key in streams.items():
            for method, value in PUBLISHED[table][key].items():
                found = book.of(method, stream)
                if found is None:
                    continue
                how, bar = f"{PUBLISHED[table]['source']}: {value}", value
                if measured_table is not None and method in PUBLISHED[measured_table][key]:
                    bar = PUBLISHED[measured_table][key][method]
                    how += f"; {PUBLISHED[measured_table]['source']}: {bar}"
                if found.known_error:
                    how += f"; standard error {found.error:.2f}"
                figures.append(measured(Table.name(stream, method), found.mean, "%", how, at_least=bar - SLACK))
        return figures

    return judge


def above_published(table: str, streams: Mapping[str, str], method: str, memory: str) -> Judge:
    """Return what holds a method above every published one that has the same memory."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream, key in streams.items():
            found = book.of(method, stream)
            rivals = {name: v for name, v in PUBLISHED[table][key].items() if name.endswith(f" {memory}")}
            if found is None or not rivals:
                continue
            best = max(rivals, key=lambda name: rivals[name])
            how = f"the best published at the same memory is {best} with {rivals[best]}"
            figures.append(measured(Table.name(stream, method), found.mean, "%", how, at_least=rivals[best]))
        return figures

    return judge


def above_all(method: str, others: Sequence[str]) -> Judge:
    """Return what holds a method above each of others in the same run."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream in book.streams:
            own, rivals = book.of(method, stream), known(book, others, stream)
            if own is None or not rivals:
                continue
            name, theirs = best_of(rivals)
            how = f"{own.mean:.1f} less {theirs.mean:.1f} of {name}, the best of {', '.join(rivals)} on the same stream"
            title = f"{stream}, {method} over all with as much memory"
            figures.append(measured(title, own.mean - theirs.mean, "points", how, at_least=0))
        return figures

    return judge


def known(book: Book, methods: Sequence[str], stream: str) -> dict[str, Scores]:
    """Return the averages of those methods that were run on a stream."""
    return {name: found for name in methods if (found := book.of(name, stream)) is not None}


def best_of(scores: Mapping[str, Scores]) -> tuple[str, Scores]:
    """Return the name and the scores of the best of at least one."""
    return max(scores.items(), key=lambda item: item[1].mean)


def against(pairs: Mapping[str, str]) -> Judge:
    """Return what holds our methods against others' in the same run: theirs minus one standard error of the two."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream in book.streams:
            for ours, theirs in pairs.items():
                own, other = book.of(ours, stream), book.of(theirs, stream)
                if own is None or other is None:
                    continue
                how = f"{theirs} in the same run: {other.mean:.1f} ± {other.known_error:.1f}; ± {own.known_error:.1f}"
                bar = other.mean - other.known_error
                figures.append(
                    measured(Table.name(stream, ours), own.mean, "%", how, at_least=math.floor(100 * bar) / 100)
                )
        return figures

    return judge


def near_joint(method: str, *, points: float | None = None, share: float | None = None) -> Judge:
    """Return what holds a method within points of joint training, or at a share of it."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream in book.streams:
            own, joint = book.of(method, stream), book.of("joint", stream)
            if own is None or joint is None:
                continue
            if points is not None:
                name = f"{stream}, {method} under joint"
                how = f"{own.mean:.1f} of joint's {joint.mean:.1f}"
                figures.append(measured(name, joint.mean - own.mean, "points", how, at_most=points))
            if share is not None:
                name = f"{stream}, {method} over joint"
                how = f"{own.mean:.1f} of joint's {joint.mean:.1f}"
                figures.append(measured(name, own.mean / joint.mean, "", how, at_least=share))
        return figures

    return judge


def beats(method: str, others: Sequence[str]) -> Judge:
    """Return what holds a method above each of others by more than the standard errors of both."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream in book.streams:
            own, rivals = book.of(method, stream), known(book, others, stream)
            if own is None or not rivals:
                continue
            best, theirs = best_of(rivals)
            gap = own.mean - own.known_error - theirs.mean - theirs.known_error
            how = (
                f"{own.mean:.1f} ± {own.known_error:.1f} less {best}'s {theirs.mean:.1f} ± {theirs.known_error:.1f}, "
                f"less both errors; over {', '.join(rivals)}"
            )
            figures.append(
                measured(f"{stream}, {method} over the others that store nothing", gap, "points", how, at_least=0)
            )
        return figures

    return judge


def at_most(method: str, score: str, bar: float) -> Judge:
    """Return what holds a score of a method under a bar in percent."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream in book.streams:
            found = book.of(method, stream, score)
            if found is not None:
                how = f"mean over {book.seeds(method, stream)} seeds"
                figures.append(measured(Table.name(stream, method, score), found.mean, "%", how, at_most=bar))
        return figures

    return judge


def falls(method: str, others: Sequence[str], score: str, points: float) -> Judge:
    """Return what holds a score of others within points of a method's."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream in book.streams:
            whole = book.of(method, stream, score)
            for name in others:
                found = book.of(name, stream, score)
                if whole is None or found is None:
                    continue
                how = (
                    f"{found.mean:.1f} ± {found.known_error:.1f} of {whole.mean:.1f} ± {whole.known_error:.1f}, mean "
                    f"over {book.seeds(name, stream)} seeds"
                )
                figures.append(
                    measured(
                        f"{stream}, {name}, fall of {score}", whole.mean - found.mean, "points", how, at_most=points
                    )
                )
        return figures

    return judge


def told_beside(method: str, others: Sequence[str]) -> Judge:
    """Return what tells by how much others are above a method, seed by seed; nothing is held against it."""

    def judge(book: Book) -> Sequence[Figure]:
        figures = []
        for stream in book.streams:
            for name in others:
                gain = book.gain(name, method, stream)
                if gain is None:
                    continue
                how = f"mean of {book.seeds(name, stream)} seeds, standard error {gain.known_error:.2f}"
                figures.append(measured(f"{stream}, {name} over {method}", gain.mean, "points", how))
        return figures

    return judge
