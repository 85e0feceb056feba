"""Which labels are done with: the position that moves together with the weights."""

from collections.abc import Iterable, Mapping


class Progress:
    """Offsets read and settled, for each partition of one topic.

    A record is settled once it is learned, held out or refused. Labels may be
    settled in any order; those ahead of the first open one are remembered by
    offset, so that a restart reads from the first open one and skips the rest.

    Parameters
    ----------
    offsets : mapping of int to int
        By partition the offset of the first record that is not settled.
    ahead : mapping of int to iterable of int
        Offsets settled beyond that.
    """

    def __init__(
        self, offsets: Mapping[int, int] | None = None, ahead: Mapping[int, Iterable[int]] | None = None
    ) -> None:
        self._next: dict[int, int] = dict(offsets or {})
        self._open: dict[int, set[int]] = {}
        self._ahead: dict[int, set[int]] = {p: set(o) for p, o in (ahead or {}).items()}

    def position(self, partition: int) -> int | None:
        """Return the next offset to read, None if nothing is known of the partition."""
        return self._next.get(partition)

    def positions(self) -> dict[int, int]:
        """Return by partition the next offset to read."""
        return dict(self._next)

    def read(self, partition: int, offset: int) -> bool:
        """Note that a record was read; False if it was settled or read before and is to be skipped."""
        if offset < self._next.get(partition, 0):
            return False
        self._next[partition] = offset + 1
        if offset in self._ahead.get(partition, ()):
            return False
        self._open.setdefault(partition, set()).add(offset)
        return True

    def settle(self, partition: int, offset: int) -> None:
        """Note that a record is done with."""
        self._open[partition].remove(offset)
        self._ahead.setdefault(partition, set()).add(offset)

    def offsets(self) -> dict[int, int]:
        """Return by partition the offset of the first record that is not settled."""
        return {p: min(self._open.get(p) or {n}) for p, n in self._next.items()}

    def ahead(self) -> dict[int, list[int]]:
        """Return the offsets settled beyond :meth:`offsets`."""
        first = self.offsets()
        for partition, settled in self._ahead.items():
            settled.difference_update([o for o in settled if o < first.get(partition, 0)])
        return {p: sorted(o) for p, o in self._ahead.items() if o}
