import pytest

from learner.holdout import HoldoutRule, ValidationSet
from learner.settings import HoldoutSettings
from memory.samples import Sample
from tests.unit.learner.records import make_memory, make_sample

WELDS = 5000


def held(rule: HoldoutRule, domain: str = "d", count: int = WELDS) -> set[int]:
    return {i for i in range(count) if rule.holds_out(domain, f"weld-{i}", "label")}


def ids(samples: list[Sample]) -> list[str]:
    return [sample.label_id for sample in samples]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_is_met_over_many_welds_of_each_domain(share: float) -> None:
    rule = HoldoutRule(HoldoutSettings(share=share))
    # Four standard deviations of so many independent decisions.
    tolerance = 4 * (share * (1 - share) / WELDS) ** 0.5
    for domain in ("a", "b"):
        assert len(held(rule, domain)) / WELDS == pytest.approx(share, abs=tolerance)


def test_none_and_all_can_be_held_out() -> None:
    assert held(HoldoutRule(HoldoutSettings(share=0.0))) == set()
    assert len(held(HoldoutRule(HoldoutSettings(share=1.0)))) == WELDS


def test_a_weld_is_held_out_as_a_whole_by_default() -> None:
    rule = HoldoutRule(HoldoutSettings(share=0.5))
    for weld in range(20):
        assert len({rule.holds_out("d", f"weld-{weld}", f"label-{i}") for i in range(20)}) == 1


def test_a_weld_in_which_a_domain_opened_by_itself_is_on_one_side() -> None:
    rule = HoldoutRule(HoldoutSettings(share=0.5))
    assert held(rule, "d") == held(rule, "d~2")
    assert held(rule, "d") != held(rule, "e")


def test_by_label_a_weld_is_split_and_its_name_does_not_matter() -> None:
    rule = HoldoutRule(HoldoutSettings(share=0.5, unit="label"))
    first = [rule.holds_out("d", "weld-1", f"label-{i}") for i in range(200)]
    assert 60 < sum(first) < 140
    assert first == [rule.holds_out("d", "weld-2", f"label-{i}") for i in range(200)]


def test_decisions_are_the_same_in_every_release() -> None:
    # A label held out yesterday must not be trained on tomorrow: these lists never change.
    assert sorted(held(HoldoutRule(HoldoutSettings()), count=30)) == [5, 6, 10, 12, 13, 23, 24, 26, 29]
    by_label = HoldoutRule(HoldoutSettings(unit="label"))
    assert [i for i in range(12) if by_label.holds_out("d", "w", f"label-{i}")] == [0, 1, 2, 3, 4, 7, 8, 9, 10]


def test_seed_and_domain_decide_too_and_a_larger_share_only_adds() -> None:
    rule = HoldoutRule(HoldoutSettings())
    assert held(rule, "d", 100) != held(rule, "e", 100)
    assert held(rule, "d", 100) != held(HoldoutRule(HoldoutSettings(seed=1)), "d", 100)
    assert held(rule) < held(HoldoutRule(HoldoutSettings(share=0.3)))


async def test_a_known_label_changes_nothing() -> None:
    validation = ValidationSet(make_memory())
    await validation.add(make_sample(0))
    await validation.add(make_sample(1))
    await validation.add(make_sample(0))
    assert ids(validation.newest(9)) == ["label-0", "label-1"]


async def test_what_the_memory_evicts_is_no_longer_at_hand() -> None:
    memory = make_memory(samples=4)
    validation = ValidationSet(memory)
    for number in range(60):
        await validation.add(make_sample(number, "ab"[number % 2]))
        assert len(validation) == sum(d.stored for d in (await memory.stats()).domains.values()) <= 4
    again = ValidationSet(memory)
    await again.load()
    assert set(ids(again.newest(9))) == set(ids(validation.newest(9)))


async def test_a_restart_reads_the_set_back_in_the_order_of_the_topic() -> None:
    memory = make_memory()
    empty = ValidationSet(memory)
    await empty.load()
    assert len(empty) == 0
    for number in (0, 1, 2, 3, 4):
        await memory.admit(make_sample(number, "ba"[number % 2], offset=10 * number))
    await memory.admit(make_sample(5, "b"))  # of the first training: it lies in no topic
    validation = ValidationSet(memory)
    await validation.load()
    assert ids(validation.newest(9)) == ["label-5", *(f"label-{i}" for i in range(5))]
    (last,) = validation.newest(1)
    assert last.to_bytes() == make_sample(4, "b", offset=40).to_bytes()


async def test_the_newest_of_all_and_of_each_domain() -> None:
    validation = ValidationSet(make_memory())
    for number in range(8):
        await validation.add(make_sample(number, "abc"[number % 3]))
    assert ids(validation.newest(2)) == ["label-6", "label-7"]
    assert validation.newest(0) == []
    assert ids(validation.of_domains(["c", "a"], 2)) == ["label-2", "label-5", "label-3", "label-6"]
    assert validation.of_domains(["a"], 0) == []
    assert validation.of_domains(["unknown"], 3) == []
