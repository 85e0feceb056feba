"""The services of a demo: what serves, a frozen copy of the first model beside it, the learner and the recaller."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from schemas import ClassTable
from stream.demo.settings import DemoSettings
from stream.local import LocalStack
from stream.local.service import ServiceProcess

SHADOW_SUFFIX = "-frozen"
FIRST_VERSION = 1
HTTP_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """The four processes."""

    inference: ServiceProcess
    frozen: ServiceProcess
    learner: ServiceProcess
    recaller: ServiceProcess

    def learned(self) -> int:
        """Return how many labels the learner says that it has learned."""
        return int(_counter(self.learner, "weldstream_learner_labels", {"outcome": "learned"}))

    def refused(self) -> int:
        """Return how many candidates the gate refused."""
        return int(_counter(self.learner, "weldstream_learner_releases", {"verdict": "refused"}))


def start_services(
    stack: LocalStack, settings: DemoSettings, classes: ClassTable, first_labels: int, *, learner: Mapping[str, str]
) -> Services:
    """Start all of them; the learner trains the first model as soon as it has the first labels.

    Parameters
    ----------
    stack : LocalStack
        Kafka and Redis, with topics.
    settings : DemoSettings
        Of the run.
    classes : ClassTable
        Of the scenario.
    first_labels : int
        Labels that are sent for the first model.
    learner : mapping of str to str
        More variables of the learner.
    """
    common = {"WELDSTREAM_CLASSES": classes.model_dump_json()}
    inference = stack.start_service(
        "inference",
        "inference.app",
        common | {"WELDSTREAM_FLAGGING__AUDIT_RATE": str(settings.audit_rate)},
        wait="none",
    )
    frozen = stack.start_service(
        "frozen",
        "inference.app",
        common
        | {
            "WELDSTREAM_SERVING__ROLE": "shadow",
            "WELDSTREAM_SERVING__OUTPUT_SUFFIX": SHADOW_SUFFIX,
            "WELDSTREAM_SERVING__PINNED_VERSION": str(FIRST_VERSION),
            "WELDSTREAM_SERVING__GROUP_ID": "weldstream-frozen",
        },
        wait="none",
    )
    learning = stack.start_service(
        "learner",
        "learner.app",
        {
            **common,
            "WELDSTREAM_CHECKPOINT__FOLDER": str(stack.folder / "learner"),
            "WELDSTREAM_BOOTSTRAP__LABELS": str(first_labels),
            "WELDSTREAM_BOOTSTRAP__SECONDS": str(settings.first_model_seconds),
            **learner,
        },
        wait="none",
    )
    recaller = stack.start_service("recaller", "inference.recaller", wait="none")
    return Services(inference, frozen, learning, recaller)


def metrics_text(service: ServiceProcess) -> str:
    """Return what a service shows Prometheus; empty while it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=HTTP_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _counter(service: ServiceProcess, name: str, labels: Mapping[str, str]) -> float:
    for family in text_string_to_metric_families(metrics_text(service)):
        if family.name == name:
            return sum(
                s.value
                for s in family.samples
                if s.name == f"{name}_total" and all(s.labels.get(k) == v for k, v in labels.items())
            )
    return 0.0
