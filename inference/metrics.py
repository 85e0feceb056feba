"""What the process counts and measures, in base units; never labelled by frame or weld."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
_STALL_BUCKETS = (0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)
_PREFIX = "weldstream_inference_"


class InferenceMetrics:
    """All metrics of the process.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are registered; each process and test has its own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(_PREFIX + name, text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(_PREFIX + name, text, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...] = _LATENCY_BUCKETS) -> Histogram:
            return Histogram(_PREFIX + name, text, buckets=buckets, registry=registry)

        self.frames = counter("frames_total", "Frames finished, by outcome.", "outcome")
        self.latency = histogram("latency_seconds", "From the frame's Kafka timestamp to its judgement.")
        self.compute = histogram("compute_seconds", "A frame's share of its model run.")
        self.batch_size = histogram("batch_size", "Frames in a model run.", (1, 2, 4, 8, 16, 32, 64))
        self.uncertainty = histogram("uncertainty", "Of judged frames.", tuple(i / 10 for i in range(1, 11)))
        self.model_version = gauge("model_version", "Number of the version that serves; 0 before the first.")
        self.live_models = gauge("live_models", "Versions in memory, those of welds in progress among them.")
        self.welds = gauge("open_welds", "Welds in progress.")
        self.welds_reopened = counter(
            "welds_reopened_total", "Welds in progress whose version could not be brought back, by reason.", "reason"
        )
        self.fenced = counter("fenced_total", "Batches dropped because their partition has another owner.")
        self.swaps = counter("swaps_total", "Models that began to serve.")
        self.swap_seconds = histogram("swap_seconds", "From a release's announcement to its first judged frame.")
        self.releases_refused = counter("releases_refused_total", "Releases not taken, by reason.", "reason")
        self.flagged = counter("flagged_total", "Review requests, by reason; one request may have several.", "reason")
        self.alerts = counter("alerts_total", "Alerts raised, by class.", "class_name")
        self.dead_letters = counter("dead_letters_total", "Records that could not be processed, by reason.", "reason")
        self.retries = counter("retries_total", "Attempts repeated because a service did not answer, by step.", "step")
        self.lag = gauge("lag_records", "Frames published and not yet fetched.")
        self.loop_stall = Histogram(
            _PREFIX + "loop_stall_seconds",
            "Longest delay of the event loop in each quarter of a second, while a model is swapped and otherwise.",
            ("during",),
            buckets=_STALL_BUCKETS,
            registry=registry,
        )
        self.in_flight = gauge("in_flight_frames", "Frames between fetching and commit.")
        self.ready = gauge("ready", "1 if frames are judged, else 0.")
