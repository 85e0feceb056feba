"""From a record of the labels topic to a sample that can be learned."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from memory.descriptors import domain_of
from memory.files import AtomicFiles
from memory.samples import Sample
from schemas.classes import ClassTable
from schemas.errors import ArtifactNotFoundError, BadRecordError, OversizeError
from schemas.judgements import RecordPosition
from stream.codec import DecodedLabel, Fetch, FrameLimits, decode_label, decode_raster
from stream.codec.labels import remap_mask
from stream.records import InRecord
from stream.scoring import Confusion


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """A label that waits to be learned.

    Attributes
    ----------
    sample : Sample
        What is learned.
    record : InRecord
        As it lies in the labels topic: what becomes a dead letter if it cannot be learned.
    inspector_id : str
        Who gave it.
    labelled_at, received_at : datetime
        When it was given, and when it was read.
    served_by : int or None
        The version whose mask came with it.
    served : Confusion or None
        What that version made of it.
    """

    sample: Sample
    record: InRecord
    inspector_id: str
    labelled_at: datetime
    received_at: datetime
    served_by: int | None = None
    served: Confusion | None = None

    @property
    def partition(self) -> int:
        """Partition of the labels topic."""
        return self.record.partition

    @property
    def offset(self) -> int:
        """Offset in that partition."""
        return self.record.offset


class LabelReader:
    """Reads labels; blocking, so call it from a thread.

    Parameters
    ----------
    limits : FrameLimits
        What is accepted.
    classes : ClassTable
        The deployment's classes.
    fetch : callable or None
        Reads claim checks.
    max_label_bytes : int or None
        Largest label; by default as large as the topic allows.
    gain_step_db : float or None
        Gains that round to other multiples of it are other domains; None leaves the gain out.
    """

    def __init__(
        self,
        limits: FrameLimits,
        classes: ClassTable,
        fetch: Fetch | None,
        *,
        max_label_bytes: int | None = None,
        gain_step_db: float | None = None,
    ) -> None:
        self._limits = limits
        self._max_label_bytes = max_label_bytes
        self._classes = classes
        self._fetch = fetch
        self._gain_step_db = gain_step_db

    def read(self, record: InRecord, received_at: datetime) -> tuple[Label, bool]:
        """Return the label, and whether it came with a judgement that cannot be read.

        Raises
        ------
        BadRecordError
            If it can never be learned.
        """
        decoded = decode_label(record, self._limits, self._classes, self._fetch, max_bytes=self._max_label_bytes)
        frame = decoded.label.frame
        sample = Sample(
            label_id=decoded.label.label_id,
            domain=domain_of(frame, self._gain_step_db),
            weld_id=frame.weld_id,
            pixels=decoded.pixels,
            mask=decoded.mask,
            source=RecordPosition(topic=record.topic, partition=record.partition, offset=record.offset),
            inspector_id=decoded.label.inspector_id,
        )
        unreadable = False
        try:
            served = self._served(decoded)
        except BadRecordError:
            served, unreadable = None, True
        judgement = decoded.label.judgement
        label = Label(
            sample=sample,
            record=record,
            inspector_id=decoded.label.inspector_id,
            labelled_at=decoded.label.labelled_at,
            received_at=received_at,
            served_by=judgement.model.version if judgement and served else None,
            served=served,
        )
        return label, unreadable

    def _served(self, decoded: DecodedLabel) -> Confusion | None:
        judgement = decoded.label.judgement
        if judgement is None:
            return None
        drawn = decode_raster(judgement.mask, self._limits, self._fetch)
        judged = remap_mask(drawn, decoded.pixels.shape, judgement.classes, self._classes)
        return Confusion.of(judged, decoded.mask, len(self._classes))


def claim_checks(files: AtomicFiles, max_bytes: int) -> Fetch:
    """Return what reads claim checks of limited size from the artifact store; the codec verifies the digest."""

    def fetch(uri: str, sha256: str) -> bytes:
        name = f"artifacts/sha256/{sha256[:2]}/{sha256}"
        size = files.size(name)
        if size is not None and size > max_bytes:
            raise OversizeError(f"the claim check's image has {size} bytes; at most {max_bytes} are accepted")
        data = files.read(name)
        if data is None:
            raise ArtifactNotFoundError(f"{uri[:200]!r}: no artifact sha256:{sha256}")
        return data

    return fetch


class KnownLabels:
    """The newest label ids that were settled, bounded.

    Parameters
    ----------
    limit : int
        Ids remembered.
    known : iterable of str
        Oldest first.
    """

    def __init__(self, limit: int, known: Iterable[str] = ()) -> None:
        self._limit = limit
        self._known: OrderedDict[str, None] = OrderedDict.fromkeys(known)

    def add(self, label_id: str) -> None:
        """Remember a label."""
        self._known[label_id] = None
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def __contains__(self, label_id: str) -> bool:
        """Tell whether a label is remembered."""
        return label_id in self._known

    def state(self) -> list[str]:
        """Return the ids, oldest first."""
        return list(self._known)


class Prequential:
    """Judge, then learn: what each version that served made of labels that it had not learned.

    Parameters
    ----------
    classes : int
        Mask values, the background included.
    versions : int
        Newest versions remembered.
    """

    def __init__(self, classes: int, versions: int = 16) -> None:
        self._classes = classes
        self._versions = versions
        self._counts: defaultdict[int, dict[str, Confusion]] = defaultdict(dict)

    def add(self, version: int, domain: str, counts: Confusion) -> None:
        """Count one label."""
        domains = self._counts[version]
        domains[domain] = domains.get(domain, Confusion.empty(self._classes)) + counts
        for old in sorted(self._counts)[: -self._versions]:
            del self._counts[old]

    def dice(self, version: int, domain: str) -> float | None:
        """Return a version's Dice in a domain, None before its first label there."""
        counts = self._counts.get(version, {}).get(domain)
        return None if counts is None else counts.dice
