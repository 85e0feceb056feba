"""What the process counts and measures, in base units; labelled by domain at most, of which there are few."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_PREFIX = "weldstream_learner_"


class LearnerMetrics:
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

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(_PREFIX + name, text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(_PREFIX + name, text, labels, buckets=_SECONDS, registry=registry)

        self.labels = counter(
            "labels_total", "Labels: learned, held_out, duplicate, dead_letter, diverged, revoked.", "outcome"
        )
        self.steps = counter("steps_total", "Training steps, on new labels or idle.", "kind")
        self.step_seconds = histogram("step_seconds", "A training step.")
        self.loss = gauge("loss", "Mean loss of the newest step.")
        self.violated = counter("constraints_violated_total", "Past domains that a step would have made worse.")
        self.releases = counter("releases_total", "Candidates by verdict.", "verdict")
        self.gate_seconds = histogram("gate_seconds", "Judging a candidate.")
        self.release_seconds = histogram("release_seconds", "Parts of a release.", "part")
        self.prequential = gauge("prequential_dice", "Dice of what was served on the newest labels.", "domain")
        self.unreadable_judgements = counter("unreadable_judgements_total", "Judgements in labels that say nothing.")
        self.memory_samples = gauge("memory_samples", "Samples kept for rehearsal.", "domain")
        self.memory_bytes = gauge("memory_bytes", "Bytes of the samples kept for rehearsal.")
        self.quarantines = counter("inspectors_quarantined_total", "Inspectors whose labels were set aside unasked.")
        self.restarts = counter("restarts_total", "Times the learner began anew, by reason.", "reason")
        self.leads = gauge("leads", "1 if this is the active learner, 0 if it stands by.")
        self.rollbacks = counter("rollbacks_total", "Releases taken back.")
        self.dead_letters = counter("dead_letters_total", "Labels that could not be read, by reason.", "reason")
        self.retries = counter("retries_total", "Attempts repeated because a service did not answer.", "step")
        self.label_age = histogram("label_age_seconds", "From a label to the event named.", "event")
        self.checkpoint_seconds = histogram("checkpoint_seconds", "Writing a checkpoint.")
        self.pending = gauge("pending_labels", "Labels that wait to be learned.")
        self.lag = gauge("lag_records", "Labels published and not yet fetched.")
        self.model_version = gauge("model_version", "Newest version announced; 0 before the first.")
        self.ready = gauge("ready", "1 if labels are read, else 0.")
