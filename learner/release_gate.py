"""Decides whether a candidate may replace the serving model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from schemas.classes import ClassTable
from schemas.events import GateVerdict, ScoreComparison
from stream.scoring import Confusion, pooled

GOLDEN, NEWEST, PAST = "golden", "newest", "past"
"""The three evaluation sets: fixed, the newest labels held out, the held-out share of every past domain."""

SetScores: TypeAlias = Mapping[str, Mapping[str, Sequence[Confusion]]]
"""Evaluation set to domain to the counts of each frame."""


class GateConfig(BaseModel):
    """When a candidate is refused.

    Attributes
    ----------
    domain_margin : float
        How much worse the Dice of a domain's defect pixels may be, whatever their class;
        here and below, without the frame that speaks most against the candidate.
    class_margin : float
        How much worse the Dice of a class may be, pooled over the domains of
        a set; wider, since a set shows few defects of each class.
    overall_margin : float
        How much worse the Dice of a whole set's defect pixels may be.
    min_domain_samples : int
        A domain with fewer frames in a set decides nothing there; its numbers
        are kept all the same.
    min_class_samples : int
        As above, for frames that show the class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain_margin: Annotated[float, Field(ge=0)] = 0.05
    class_margin: Annotated[float, Field(ge=0)] = 0.15
    overall_margin: Annotated[float, Field(ge=0)] = 0.04
    min_domain_samples: Annotated[int, Field(ge=1)] = 4
    min_class_samples: Annotated[int, Field(ge=1)] = 6


class ReleaseGate:
    """Compares a candidate with the serving model on the same samples.

    The sets are small and show few defects: a single one, found by one model
    and missed by the other, may decide a score. So a drop counts only as far
    as it remains when the frame that speaks most against the candidate is left
    out (the jackknife's smallest value; Efron 1982).

    Parameters
    ----------
    config : GateConfig
        Margins and least numbers of samples.
    classes : ClassTable
        Names the classes.
    """

    def __init__(self, config: GateConfig, classes: ClassTable) -> None:
        self._config = config
        self._classes = classes

    def judge(self, serving: SetScores, candidate: SetScores, seconds: float = 0.0) -> GateVerdict:
        """Judge a candidate: it passes if no group of any set is worse by more than its margin.

        Parameters
        ----------
        serving, candidate : SetScores
            Counts of both models on the same samples.
        seconds : float
            What obtaining them took, for the verdict.

        Raises
        ------
        ValueError
            If the two were not judged on the same sets, domains and frames.
        """
        _check_same(serving, candidate)
        comparisons = tuple(
            comparison for name in candidate for comparison in self._compare(name, serving[name], candidate[name])
        )
        return GateVerdict(passed=all(c.passed for c in comparisons), comparisons=comparisons, seconds=seconds)

    def _compare(
        self, name: str, serving: Mapping[str, Sequence[Confusion]], candidate: Mapping[str, Sequence[Confusion]]
    ) -> Iterator[ScoreComparison]:
        config = self._config
        pairs = {domain: list(zip(serving[domain], frames, strict=True)) for domain, frames in candidate.items()}
        everything = [pair for domain in pairs.values() for pair in domain]
        if not everything:
            return

        def compare(
            group: str, pairs: Sequence[_Pair], *, samples: int, enough: int, score: Score, margin: float
        ) -> ScoreComparison:
            before, after = (score(_pool(pairs, side)) for side in (0, 1))
            drop = _drop_without_worst(pairs, score)
            return ScoreComparison(
                evaluation_set=name,
                group=group,
                samples=samples,
                serving=before,
                candidate=after,
                drop=drop,
                margin=margin,
                passed=samples < enough or drop <= margin,
            )

        def overall(counts: Confusion) -> float:
            return counts.foreground_dice

        enough = config.min_domain_samples
        yield compare(
            "all", everything, samples=len(everything), enough=enough, score=overall, margin=config.overall_margin
        )
        for domain, own in pairs.items():
            yield compare(
                f"domain:{domain}", own, samples=len(own), enough=enough, score=overall, margin=config.domain_margin
            )
        shown = _pool(everything, 0).shown
        for value, defect in enumerate(self._classes.classes, start=1):
            if shown[value]:

                def of_class(counts: Confusion, value: int = value) -> float:
                    return float(counts.dice_per_class[value])

                yield compare(
                    f"class:{defect.code}",
                    everything,
                    samples=int(shown[value]),
                    enough=config.min_class_samples,
                    score=of_class,
                    margin=config.class_margin,
                )


_Pair: TypeAlias = tuple[Confusion, Confusion]
Score: TypeAlias = Callable[[Confusion], float]


def _pool(pairs: Sequence[_Pair], side: int) -> Confusion:
    return pooled(pair[side] for pair in pairs)


def _drop_without_worst(pairs: Sequence[_Pair], score: Score) -> float:
    """Return the smallest drop of a score that leaving out one frame gives, or the drop itself if that is smaller."""
    before, after = _pool(pairs, 0), _pool(pairs, 1)
    drops = [score(before) - score(after)]
    if len(pairs) > 1:
        drops += [score(before - serving) - score(after - candidate) for serving, candidate in pairs]
    return min(drops)


def _check_same(serving: SetScores, candidate: SetScores) -> None:
    def frames(scores: SetScores) -> dict[tuple[str, str], int]:
        return {(name, domain): len(c) for name, domains in scores.items() for domain, c in domains.items()}

    if frames(serving) != frames(candidate):
        msg = "serving model and candidate were not judged on the same samples"
        raise ValueError(msg)
