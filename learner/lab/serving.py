"""What would have been served: candidates at every k-th step, through the learner's gate."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence

from torch import nn

from learner.averaging import RunningAverage, between
from learner.lab.judging import judge
from learner.lab.metrics import Look
from learner.lab.settings import ReleaseConfig
from learner.lab.streams import Stream
from learner.release_gate import NEWEST, PAST, ReleaseGate, SetScores
from schemas.classes import ClassTable, DefectClass
from stream.scoring import Confusion, pooled


class Server:
    """Keeps the running average of the live weights, and what of it was released.

    Parameters
    ----------
    config : ReleaseConfig
        How often, and through which gate.
    stream : Stream
        Each domain needs validation samples where there is a gate: it must not judge by what is reported.
    model : nn.Module
        The live network.
    samples : int
        Most test samples of each domain that a version is judged on.

    Attributes
    ----------
    serving : nn.Module or None
        The last version released.

    Raises
    ------
    ValueError
        If there is a gate and a domain has no validation samples.
    """

    def __init__(self, config: ReleaseConfig, stream: Stream, model: nn.Module, samples: int) -> None:
        if config.gate is not None and not all(len(domain.validation) for domain in stream.domains):
            msg = f"the gate needs validation samples of each domain of {stream.name!r}: set validation_share"
            raise ValueError(msg)
        self._config = config
        self._stream = stream
        self._tests = [domain.test.first(samples) for domain in stream.domains]
        self._gated = [domain.validation.first(config.gate_samples) for domain in stream.domains]
        self._average = RunningAverage(model, config.averaging)
        self.serving: nn.Module | None = None
        self._serving_counts: dict[int, Sequence[Confusion]] = {}
        names = stream.classes[1:] if stream.masks else ("right",)
        table = ClassTable(classes=tuple(DefectClass(code=i, name=name) for i, name in enumerate(names, 1)))
        self._gate = None if config.gate is None else ReleaseGate(config.gate, table)
        self.served: list[Look] = []
        self.refused = 0
        self._debts: dict[int, float] = {}
        self._steps = 0

    @property
    def candidates(self) -> int:
        """Candidates so far, released or not."""
        return len(self.served) + self.refused

    def after_step(self, domain: int) -> None:
        """Move the average; at every k-th step, try to release it, or else what lies between it and what is served."""
        self._steps += 1
        self._average.follow()
        if self._steps % self._config.every:
            return
        for candidate in self._candidates():
            counts = self._judge(candidate, range(domain + 1))
            if self._passes(counts, domain):
                self._release(candidate, counts, domain)
                return
        self.refused += 1

    def _candidates(self) -> Iterator[nn.Module]:
        yield self._average.model
        if self.serving is not None:
            for share in self._config.fallbacks:
                yield between(self.serving, self._average.model, share)

    def _passes(self, counts: Mapping[int, Sequence[Confusion]], domain: int) -> bool:
        if self._gate is None or self.serving is None:
            return True
        # Domains that have begun since this version was released.
        new = [i for i in range(domain + 1) if i not in self._serving_counts]
        self._serving_counts |= self._judge(self.serving, new)
        serving = {i: self._serving_counts[i] for i in range(domain + 1)}
        if not self._gate.judge(self._sets(serving, domain), self._sets(counts, domain)).passed:
            return False
        most = self._config.regret
        return most is None or all(debt <= most for i, debt in self._debts_with(counts).items() if i < domain)

    def _debts_with(self, counts: Mapping[int, Sequence[Confusion]]) -> dict[int, float]:
        """Return how far each domain would be under the best ever released, on validation samples."""
        return {
            i: max(
                0.0,
                self._debts.get(i, 0.0) + pooled(self._serving_counts[i]).foreground_dice - pooled(own).foreground_dice,
            )
            for i, own in counts.items()
            if i in self._serving_counts
        }

    def _release(self, candidate: nn.Module, counts: dict[int, Sequence[Confusion]], domain: int) -> None:
        self._debts = self._debts_with(counts)
        self.serving = copy.deepcopy(candidate)
        self._serving_counts = counts
        masks, domains = self._stream.masks, self._stream.domains
        scores = [
            judge(candidate, self._stream, domains[i], self._tests[i]).score(masks=masks) for i in range(domain + 1)
        ]
        self.served.append(Look(self._steps, domain, scores))

    def _judge(self, model: nn.Module, domains: Iterable[int]) -> dict[int, Sequence[Confusion]]:
        """Return what the gate compares; nothing without a gate."""
        if self._gate is None:
            return {}
        return {i: judge(model, self._stream, self._stream.domains[i], self._gated[i]).counts for i in domains}

    def _sets(self, counts: Mapping[int, Sequence[Confusion]], domain: int) -> SetScores:
        named = {i: self._stream.domains[i].name for i in counts}
        past = {named[i]: counts[i] for i in counts if i != domain}
        return {NEWEST: {named[domain]: counts[domain]}, **({PAST: past} if past else {})}
