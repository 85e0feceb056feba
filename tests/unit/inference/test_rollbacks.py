from datetime import timedelta

from inference.rollbacks import plan_of
from schemas.events import ModelReleased, ReleaseKind
from tests.unit.inference.tiny import NOW, make_version

R, B = ReleaseKind.RELEASE, ReleaseKind.ROLLBACK


def line(*steps: tuple[ReleaseKind, int]) -> list[ModelReleased]:
    return [
        ModelReleased(
            version=make_version(number, b"g", b"w"), kind=kind, sequence=n, announced_at=NOW + timedelta(seconds=n)
        )
        for n, (kind, number) in enumerate(steps, start=1)
    ]


def test_what_was_taken_back_is_judged_by_what_serves_again() -> None:
    releases = line((R, 1), (R, 2), (R, 3), (B, 1))
    plan = plan_of(releases, releases[-1])
    assert plan is not None
    assert (plan.recall_id, plan.judged_by, plan.again_by, plan.until) == ("weld-4", (2, 3), 1, None)


def test_a_version_that_is_announced_anew_is_trusted_from_then_on() -> None:
    releases = line((R, 1), (R, 2), (B, 1), (R, 3), (R, 2))
    plan = plan_of(releases, releases[2])
    assert plan is not None
    assert (plan.judged_by, plan.until) == ((2,), NOW + timedelta(seconds=5))


def test_a_roll_back_to_what_serves_takes_nothing_back() -> None:
    releases = line((R, 1), (B, 1))
    assert plan_of(releases, releases[-1]) is None
