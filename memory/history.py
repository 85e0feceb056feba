"""What served one after the other, read from the announcements of a model."""

from collections.abc import Iterable, Sequence

from schemas.events import ModelReleased, ReleaseKind


def served_line(releases: Iterable[ModelReleased]) -> list[int]:
    """Return the versions that led to the one that serves, oldest first; what was taken back is not among them."""
    served: list[int] = []
    for release in releases:
        number = release.version.model.version
        if release.kind is ReleaseKind.ROLLBACK and number in served:
            del served[served.index(number) + 1 :]
        elif not served or served[-1] != number:
            served.append(number)
    return served


def taken_back(releases: Sequence[ModelReleased], sequence: int) -> tuple[int, ...]:
    """Return the versions that a roll-back took back.

    Parameters
    ----------
    releases : sequence of ModelReleased
        All announcements of the model, oldest first.
    sequence : int
        Of the roll-back.

    Returns
    -------
    tuple of int
        What served since the version that it returned to, or what served last
        where that one never served before; empty if it was no roll-back.
    """
    (found,) = (release for release in releases if release.sequence == sequence)
    if found.kind is not ReleaseKind.ROLLBACK:
        return ()
    number = found.version.model.version
    served = served_line(release for release in releases if release.sequence < sequence)
    since = served[served.index(number) + 1 :] if number in served else served[-1:]
    return tuple(dict.fromkeys(version for version in since if version != number))
