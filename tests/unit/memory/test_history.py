import pytest

from memory.history import served_line, taken_back
from schemas.events import ModelReleased, ReleaseKind
from tests.unit.inference.tiny import NOW, make_version

R, B = ReleaseKind.RELEASE, ReleaseKind.ROLLBACK


def line(*steps: tuple[ReleaseKind, int]) -> list[ModelReleased]:
    return [
        ModelReleased(version=make_version(number, b"g", b"w"), kind=kind, sequence=n, announced_at=NOW)
        for n, (kind, number) in enumerate(steps, start=1)
    ]


@pytest.mark.parametrize(
    ("steps", "back"),
    [
        ([(R, 1), (R, 2), (B, 1)], (2,)),
        ([(R, 1), (R, 2), (R, 3), (B, 1)], (2, 3)),
        ([(R, 1), (R, 2), (B, 1), (R, 3), (B, 1)], (3,)),
        ([(R, 1), (R, 2), (R, 3), (B, 2), (B, 1)], (2,)),
        ([(R, 2), (B, 1)], (2,)),
        ([(R, 1), (B, 1)], ()),
        ([(R, 1), (R, 2)], ()),
        ([(R, 3), (R, 4), (R, 3), (B, 3)], (4,)),
    ],
)
def test_what_the_last_announcement_took_back(steps: list[tuple[ReleaseKind, int]], back: tuple[int, ...]) -> None:
    releases = line(*steps)
    assert taken_back(releases, releases[-1].sequence) == back


def test_later_announcements_do_not_change_what_a_roll_back_took_back() -> None:
    releases = line((R, 1), (R, 2), (B, 1), (R, 2), (R, 4))
    assert taken_back(releases, 3) == (2,)
    assert served_line(releases) == [1, 2, 4]
