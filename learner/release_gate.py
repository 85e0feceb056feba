"""Decides whether a candidate may replace the serving model."""

from collections.abc import Iterator, Mapping
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from learner.evaluation import pool
from learner.metrics import Confusion
from schemas.classes import ClassTable
from schemas.events import GateVerdict, ScoreComparison

GOLDEN, NEWEST, PAST = "golden", "newest", "past"
"""The three evaluation sets: fixed, the newest labels held out, the held-out share of every past domain."""

SetScores: TypeAlias = Mapping[str, Mapping[str, Confusion]]
"""Evaluation set to domain to counts, as :func:`learner.evaluation.evaluate` gives them."""


class GateConfig(BaseModel):
    """When a candidate is refused.

    Attributes
    ----------
    domain_margin : float
        How much worse the Dice of a domain's defect pixels may be, whatever their class.
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
        self, name: str, serving: Mapping[str, Confusion], candidate: Mapping[str, Confusion]
    ) -> Iterator[ScoreComparison]:
        config, classes = self._config, len(self._classes)
        old, new = pool(serving.values(), classes), pool(candidate.values(), classes)
        if not new.frames:
            return

        def compare(
            group: str, samples: int, enough: int, scores: tuple[float, float], margin: float
        ) -> ScoreComparison:
            before, after = scores
            passed = samples < enough or after >= before - margin
            return ScoreComparison(
                evaluation_set=name,
                group=group,
                samples=samples,
                serving=before,
                candidate=after,
                margin=margin,
                passed=passed,
            )

        yield compare(
            "all",
            new.frames,
            config.min_domain_samples,
            (old.foreground_dice, new.foreground_dice),
            config.overall_margin,
        )
        for domain, counts in candidate.items():
            scores = (serving[domain].foreground_dice, counts.foreground_dice)
            yield compare(f"domain:{domain}", counts.frames, config.min_domain_samples, scores, config.domain_margin)
        before, after = old.dice_per_class, new.dice_per_class
        for value, defect in enumerate(self._classes.classes, start=1):
            shown = int(new.shown[value])
            if shown:
                scores = (float(before[value]), float(after[value]))
                yield compare(f"class:{defect.code}", shown, config.min_class_samples, scores, config.class_margin)


def _check_same(serving: SetScores, candidate: SetScores) -> None:
    def frames(scores: SetScores) -> dict[tuple[str, str], int]:
        return {(name, domain): c.frames for name, domains in scores.items() for domain, c in domains.items()}

    if frames(serving) != frames(candidate):
        msg = "serving model and candidate were not judged on the same samples"
        raise ValueError(msg)
