import random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from learner.patience import Patient, PatientStore
from learner.telemetry import LearnerMetrics
from memory.admission import chance_of
from memory.samples import Sample
from memory.stores.base import Admission, Capacity, MemoryFullError
from memory.stores.in_memory import InMemoryStore
from schemas.errors import ServiceUnavailableError
from tests.unit.learner.records import make_sample

CAPACITY = Capacity(10, 10**6)


class Flaky(InMemoryStore):
    """Loses the answer to the first admissions, after or before it has admitted."""

    def __init__(self, failures: int, *, after: bool) -> None:
        super().__init__()
        self.failures = failures
        self.after = after

    async def admit(self, *arguments: Any) -> Admission:
        if self.failures and not self.after:
            self.failures -= 1
            raise ServiceUnavailableError("away")
        admission = await super().admit(*arguments)
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailableError("away")
        return admission


def patient() -> tuple[Patient, CollectorRegistry]:
    registry = CollectorRegistry()
    return Patient(random.Random(0), LearnerMetrics(registry)), registry


async def offer(store: PatientStore, sample: Sample) -> Admission:
    return await store.admit(sample, CAPACITY, chance_of(0, sample.label_id))


@pytest.mark.parametrize("after", [False, True])
async def test_a_sample_is_admitted_once_though_answers_are_lost(after: bool) -> None:
    patiently, registry = patient()
    store = PatientStore(Flaky(2, after=after), patiently)
    admission = await offer(store, make_sample(1))
    assert not admission.duplicate
    assert (await store.stats()).domains["a"].seen == 1
    assert registry.get_sample_value("weldstream_learner_retries_total", {"step": "redis"}) == 2


async def test_a_repetition_is_still_one() -> None:
    store = PatientStore(InMemoryStore(), patient()[0])
    await offer(store, make_sample(1))
    assert (await offer(store, make_sample(1))).duplicate


async def test_what_never_succeeds_is_not_repeated() -> None:
    patiently, registry = patient()
    store = PatientStore(InMemoryStore(), patiently)
    with pytest.raises(MemoryFullError):
        await store.admit(make_sample(1), Capacity(1, 1), chance_of(0, "label-1"))
    assert registry.get_sample_value("weldstream_learner_retries_total", {"step": "redis"}) is None
    assert patiently.waits_for is None


async def test_it_tells_what_it_waits_for_and_only_meanwhile() -> None:
    patiently, _ = patient()
    seen: list[str | None] = []

    async def attempt() -> str:
        seen.append(patiently.waits_for)
        if len(seen) < 3:
            raise ServiceUnavailableError("nobody is there")
        return "done"

    assert await patiently("kafka", attempt) == "done"
    assert seen == [None, *["kafka does not work: nobody is there"] * 2]
    assert patiently.waits_for is None
