"""What the process that recalls counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge

_PREFIX = "weldstream_recaller_"


class RecallMetrics:
    """All metrics of the process.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are registered; each process and test has its own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.flipped = Counter(
            _PREFIX + "flipped_frames_total", "Frames that a version taken back judged otherwise.", registry=registry
        )
        self.published = Counter(
            _PREFIX + "published_total", "Records of welds that were judged again.", registry=registry
        )
        self.failures = Counter(
            _PREFIX + "failures_total",
            "Rounds that failed and are tried again, by reason.",
            ["reason"],
            registry=registry,
        )
        self.open = Gauge(
            _PREFIX + "open_recalls", "Roll-backs whose judgements are not all judged again.", registry=registry
        )
        self.ready = Gauge(_PREFIX + "ready", "1 if roll-backs are followed here, else 0.", registry=registry)
