"""A domain opens by itself where labels change unannounced, and nowhere else."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.hidden_changes import HiddenChanges, input_statistics, served_loss
from learner.labels import Label
from learner.settings import DomainSettings
from stream.simulator.domains import DOMAINS
from stream.simulator.source import SimulatorSource
from tests.unit.learner.records import counted, make_label

SETTINGS = DomainSettings()
CHANGE = 160
SOON = 8 * SETTINGS.drift_block


def picture(rng: np.random.Generator, smooth: int) -> NDArray[np.uint8]:
    """Speckle of some grain, each of its own contrast."""
    fine = rng.rayleigh(rng.uniform(15, 25), (48, 48))
    kernel = np.ones(smooth) / smooth
    for axis in (0, 1):
        fine = np.apply_along_axis(np.convolve, axis, fine, kernel, "same")
    return fine.clip(0, 255).astype(np.uint8)


def label_at(offset: int, pixels: NDArray[np.uint8], *, missed: int | None = None, domain: str = "a") -> Label:
    made = make_label(offset, domain, served_by=None if missed is None else 7)
    served = None if missed is None else counted(found=20 - missed, missed=missed)
    return replace(made, sample=replace(made.sample, pixels=pixels, mask=np.zeros_like(pixels)), served=served)


def stream(seed: int, length: int, change: int | None = None, domain: str = "a", first: int = 0) -> list[Label]:
    rng = np.random.default_rng(seed)
    changed = [change is not None and n >= change for n in range(length)]
    return [label_at(first + n, picture(rng, 5 if now else 2), domain=domain) for n, now in enumerate(changed)]


def domains(changes: HiddenChanges, labels: list[Label]) -> list[str]:
    return [changes.placed(label).sample.domain for label in labels]


@pytest.mark.parametrize("seed", range(6))
def test_a_hidden_change_opens_exactly_one_domain_soon_after_it(seed: int) -> None:
    found = domains(HiddenChanges(SETTINGS), stream(seed, 400, CHANGE))
    opened = found.index("a~2")
    assert CHANGE <= opened < CHANGE + SOON
    assert found == ["a"] * opened + ["a~2"] * (400 - opened)


@pytest.mark.parametrize("seed", range(6))
def test_a_stationary_stream_opens_none(seed: int) -> None:
    assert set(domains(HiddenChanges(SETTINGS), stream(seed, 600))) == {"a"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("before", "after"), [(0, 4), (3, 1), (2, 2)])
def test_scans_that_change_under_one_name_are_told_apart(seed: int, before: int, after: int) -> None:
    """Simulated inspections: welds differ from each other, kinds of inspection differ more."""
    scans = [
        scan.pixels
        for part, domain in enumerate((before, after))
        for scan in SimulatorSource([DOMAINS[domain]], seed=2 * seed + part, welds=CHANGE // 8, frames_per_weld=8)
    ]
    found = domains(HiddenChanges(SETTINGS), [label_at(n, pixels) for n, pixels in enumerate(scans)])
    expected = {"a"} if before == after else {"a", "a~2"}
    assert set(found) == expected
    assert found[:CHANGE] == ["a"] * CHANGE
    assert found[CHANGE + SOON :] == [max(expected)] * (CHANGE - SOON)


@pytest.mark.parametrize(("before", "after", "opens"), [(3, 12, True), (12, 3, False)])
def test_what_served_becoming_wrong_is_a_change_and_becoming_right_is_none(
    before: int, after: int, *, opens: bool
) -> None:
    rng = np.random.default_rng(0)
    labels = [
        label_at(n, picture(rng, 2), missed=int(rng.integers(-2, 3)) + (before if n < CHANGE else after))
        for n in range(300)
    ]
    assert served_loss(labels[0]) is not None
    assert served_loss(make_label(0)) is None
    found = domains(HiddenChanges(SETTINGS), labels)
    assert ("a~2" in found) is opens
    assert found[:CHANGE] == ["a"] * CHANGE


def test_a_gain_is_no_change() -> None:
    labels = stream(1, 300)
    louder = [
        replace(label, sample=replace(label.sample, pixels=label.sample.pixels.astype(np.uint16) * 5))
        for label in labels[CHANGE:]
    ]
    assert set(domains(HiddenChanges(SETTINGS), labels[:CHANGE] + louder)) == {"a"}


def test_descriptors_are_watched_apart() -> None:
    quiet, changing = stream(1, 300, domain="a"), stream(2, 300, CHANGE, domain="b")
    mixed = [
        replace(label, record=replace(label.record, offset=2 * n + k))
        for n in range(300)
        for k, label in enumerate((quiet[n], changing[n]))
    ]
    found = domains(HiddenChanges(SETTINGS), mixed)
    assert set(found[::2]) == {"a"}
    assert set(found[1::2]) == {"b", "b~2"}


def test_a_second_change_opens_another() -> None:
    rng = np.random.default_rng(0)
    labels = [label_at(n, picture(rng, 2 if n < 160 else 5 if n < 320 else 9)) for n in range(480)]
    found = domains(HiddenChanges(SETTINGS), labels)
    assert sorted(set(found)) == ["a", "a~2", "a~3"]
    assert found == sorted(found)


def test_it_can_be_switched_off() -> None:
    changes = HiddenChanges(DomainSettings(drift=False))
    assert set(domains(changes, stream(0, 400, CHANGE))) == {"a"}
    assert changes.state()["descriptors"] == {}


@pytest.mark.parametrize("cut", [0, 37, 150, CHANGE + 5, CHANGE + 30, 399])
def test_a_restart_finds_the_same_domains_for_what_is_read_again(cut: int) -> None:
    labels = stream(3, 400, CHANGE)
    whole = HiddenChanges(SETTINGS)
    expected = domains(whole, labels)
    before, after = HiddenChanges(SETTINGS), HiddenChanges(SETTINGS)
    domains(before, labels[:cut])
    written = json.loads(json.dumps(before.state()))
    domains(before, labels[cut : cut + 50])  # was read after the checkpoint, and is lost
    after.restore(written)
    # The last labels before the checkpoint waited to be learned: they are read again too.
    assert domains(after, labels[max(0, cut - 20) :]) == expected[max(0, cut - 20) :]
    assert after.state() == whole.state()


def test_a_label_before_the_change_keeps_its_domain_however_late_it_is_read_again() -> None:
    labels = stream(4, 400, CHANGE)
    changes = HiddenChanges(SETTINGS)
    expected, state = domains(changes, labels), changes.state()
    assert domains(changes, labels) == expected
    assert changes.state() == state


def test_partitions_have_offsets_of_their_own() -> None:
    labels = [
        replace(label, record=replace(label.record, partition=n % 2, offset=n // 2))
        for n, label in enumerate(stream(5, 400, CHANGE))
    ]
    changes = HiddenChanges(SETTINGS)
    expected = domains(changes, labels)
    assert set(expected) == {"a", "a~2"}
    again = HiddenChanges(SETTINGS)
    again.restore(json.loads(json.dumps(changes.state())))
    assert domains(again, labels[::-1])[::-1] == expected


def test_without_a_checkpoint_it_goes_on_with_the_newest_edition_in_the_memory() -> None:
    changes = HiddenChanges(SETTINGS)
    changes.adopt(["a", "a~3", "a~2", "b", "hall_5"])
    assert domains(changes, stream(0, 3)) == ["a~3"] * 3
    assert domains(changes, stream(0, 3, domain="b", first=3)) == ["b"] * 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (40, 40)])
def test_statistics_are_finite_for_frames_of_any_size(shape: tuple[int, int]) -> None:
    for pixels in (np.zeros(shape, np.uint8), np.random.default_rng(0).random(shape).astype(np.float32)):
        assert all(np.isfinite(value) for value in input_statistics(pixels).values())
