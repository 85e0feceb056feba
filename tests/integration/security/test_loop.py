"""The services as processes, each as its own user with the least rights, and everything that they log."""

import asyncio
import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from safetensors.numpy import save

from memory.artifacts import ArtifactStore
from memory.registry import ModelRegistry, open_registry
from memory.stores.redis import open_redis
from schemas.events import ModelReleased, ReleaseKind
from schemas.judgements import Judgement
from schemas.labels import ReviewReason, ReviewRequest
from schemas.recalls import WeldRecall
from schemas.settings import KafkaSettings
from schemas.topics import FRAMES, JUDGEMENTS, LABELS, MODEL_RELEASES, RECALLS, REVIEW_REQUESTS, Topic
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.codec import decode_event, encode_event, encode_frame
from stream.local.ports import free_port
from stream.local.process import ProcessFailedError
from stream.local.reaper import Reaper
from stream.local.service import ServiceProcess
from stream.records import InRecord, OutRecord
from tests.integration.inference.tampering import records_of
from tests.integration.inference.test_recall import BLIND
from tests.integration.learner.outside import NOW, frame, make_label, picture, tiny_settings
from tests.integration.security.conftest import deploy
from tests.integration.security.secured import ADMIN, SecuredKafka, SecuredRedis
from tests.keys import signed_registry
from tests.unit.inference.tiny import graph_bytes, make_frame, make_version, scan, tiny_weights

WRONG = "correct-horse-battery-staple"
FRAMES_SENT = 6
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def deployed(kafka: SecuredKafka) -> None:
    deploy(kafka, "weldstream.")


class Services:
    """Starts services as an orchestrator does: settings as variables, passwords as files that only they can read."""

    def __init__(self, kafka: SecuredKafka, redis: SecuredRedis, folder: Path, reaper: Reaper) -> None:
        self.kafka, self.redis, self.folder, self.reaper = kafka, redis, folder, reaper
        self.registry = signed_registry(folder)

    @contextmanager
    def running(
        self, name: str, more: dict[str, str], secrets: dict[str, str], module: str | None = None
    ) -> Iterator[ServiceProcess]:
        settings = self.kafka.settings(name)
        files = self.folder / f"secrets-{name}"
        files.mkdir()
        for variable, value in secrets.items():
            (files / variable).write_text(f"{value}\n")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WELDSTREAM_")}
        own = {
            "WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "WELDSTREAM_KAFKA__SECURITY_PROTOCOL": settings.security_protocol,
            "WELDSTREAM_KAFKA__SASL_USERNAME": name,
            "WELDSTREAM_KAFKA__CA_FILE": str(settings.ca_file),
            "WELDSTREAM_SECRETS_DIR": str(files),
            "WELDSTREAM_LOG_LEVEL": "DEBUG",
            "WELDSTREAM_REGISTRY__URI": self.registry.uri,
            "WELDSTREAM_REGISTRY__TRUSTED_KEYS": json.dumps([str(key) for key in self.registry.trusted_keys]),
        }
        service = ServiceProcess(
            name,
            module or f"{name}.app",
            port=free_port(),
            env=kept | own | more,
            log_file=self.folder / f"{name}.log",
            cwd=ROOT,
            reaper=self.reaper,
        )
        try:
            yield service.start(wait=False)
        finally:
            service.stop()

    def inference(self, password: str | None = None) -> Any:
        secrets = {"WELDSTREAM_KAFKA__SASL_PASSWORD": password or self.kafka.passwords["inference"]}
        return self.running("inference", {"WELDSTREAM_FLAGGING__AUDIT_RATE": "1"}, secrets)

    def recaller(self) -> Any:
        secrets = {"WELDSTREAM_KAFKA__SASL_PASSWORD": self.kafka.passwords["recaller"]}
        quick = {"WELDSTREAM_RECALL__RESCAN_SECONDS": "0.5"}
        return self.running("recaller", quick, secrets, "inference.recaller")

    def learner(self, redis_password: str | None = None) -> Any:
        redis = self.redis.settings("learner")
        sections = tiny_settings(self.kafka.settings("learner"), redis, self.folder).model_dump(
            mode="json",
            include={"model", "trainer", "holdout", "training", "release", "checkpoint", "bootstrap"},
        )
        variables = {f"WELDSTREAM_{name.upper()}": json.dumps(section) for name, section in sections.items()} | {
            "WELDSTREAM_REGISTRY__SIGNING_KEY": str(self.registry.signing_key),
            "WELDSTREAM_REDIS__URL": redis.url.get_secret_value(),
            "WELDSTREAM_REDIS__USERNAME": "learner",
            "WELDSTREAM_REDIS__CA_FILE": str(redis.ca_file),
        }
        secrets = {
            "WELDSTREAM_KAFKA__SASL_PASSWORD": self.kafka.passwords["learner"],
            "WELDSTREAM_REDIS__PASSWORD": redis_password or self.redis.passwords["learner"],
        }
        return self.running("learner", variables, secrets)

    async def publish(self, user: str, records: list[OutRecord]) -> None:
        producer = make_producer(self.kafka.settings(user))
        await producer.start()
        try:
            for record in records:
                await send_and_wait(producer, record)
        finally:
            await producer.stop()

    async def read(self, user: str, topic: Topic, group: str, count: int) -> list[InRecord]:
        consumer: Any = make_consumer(self.kafka.settings(user), (topic,), group)
        await consumer.start()
        found: list[InRecord] = []
        try:
            async with asyncio.timeout(60):
                while len(found) < count:
                    for records in (await consumer.getmany(timeout_ms=500)).values():
                        found += records
            await consumer.commit()
        finally:
            await consumer.stop()
        return found


@pytest.fixture
def services(kafka: SecuredKafka, redis: SecuredRedis, tmp_path: Path, reaper: Reaper) -> Services:
    return Services(kafka, redis, tmp_path, reaper)


def labels(kafka: SecuredKafka, numbers: range) -> list[OutRecord]:
    topic = kafka.settings("inspector").topic(LABELS)
    made = [make_label(number) for number in numbers]
    return [
        encode_event(topic, LABELS, label, key=label.frame.weld_id, event_id=label.label_id, source="/test", time=NOW)
        for label in made
    ]


def frames(kafka: SecuredKafka) -> list[OutRecord]:
    topic = kafka.settings("acquisition").topic(FRAMES)
    return [
        encode_frame(frame(n, "weld-9", "first"), picture(n)[0], topic=topic, source="/test")
        for n in range(FRAMES_SENT)
    ]


def learned(learner: ServiceProcess) -> bool:
    with urllib.request.urlopen(f"{learner.url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    name = 'weldstream_learner_labels_total{outcome="learned"} '
    return any(line.startswith(name) and float(line.removeprefix(name)) >= 8 for line in lines)


@pytest.mark.timeout(240)
async def test_labels_are_learned_and_frames_judged_and_nothing_secret_is_logged(
    services: Services, kafka: SecuredKafka, redis: SecuredRedis
) -> None:
    with services.learner() as learner, services.inference() as inference:
        await asyncio.to_thread(learner.wait_ready, 90)
        await services.publish("inspector", labels(kafka, range(4)))
        await asyncio.to_thread(inference.wait_until, inference.is_ready, "serving the learner's first model", 90)
        await services.publish("acquisition", frames(kafka))
        judged = await services.read("subscriber", JUDGEMENTS, "weldstream-subscribers-test", FRAMES_SENT)
        asked = await services.read("inspector", REVIEW_REQUESTS, "weldstream-inspectors-test", FRAMES_SENT)
        await services.publish("inspector", labels(kafka, range(4, 12)))
        await asyncio.to_thread(learner.wait_until, lambda: learned(learner), "done learning eight labels", 90)
        for service in (inference, learner):
            service.stop()
            assert service.returncode == 0, service.log_tail()

    wanted = {f"weld-9-{n}" for n in range(FRAMES_SENT)}
    assert {decode_event(record, JUDGEMENTS, Judgement).frame_id for record in judged} == wanted
    assert {decode_event(record, REVIEW_REQUESTS, ReviewRequest).frame.frame_id for record in asked} == wanted
    async with open_redis(redis.settings(ADMIN)) as admin:
        await assert_keys_have_the_prefix(admin)

    logs = {name: (services.folder / f"{name}.log").read_text() for name in ("inference", "learner")}
    for name, log in logs.items():
        assert f"Authenticated as {name} via SCRAM-SHA-512" in log, "libraries logged what they do"
        for secret in {*kafka.passwords.values(), *redis.passwords.values()}:
            assert secret not in log, f"{name} logged a password"


@pytest.mark.timeout(240)
async def test_a_roll_back_is_followed_by_a_process_that_has_the_recallers_rights_only(
    services: Services, kafka: SecuredKafka
) -> None:
    versions = open_registry(services.registry, publishes=True)
    await asyncio.to_thread(publish_versions, services, versions)
    operator, weld = kafka.settings("operator"), "weld-8"
    with services.inference() as inference:
        for number, kind in ((1, ReleaseKind.INITIAL), (2, ReleaseKind.RELEASE)):
            await services.publish("learner", [announcement(kafka, versions.promote(number, kind))])
        serves = "weldstream_inference_model_version 2.0"
        await asyncio.to_thread(inference.wait_until, lambda: serves in metrics(inference), "serving v2", 90)
        topic = operator.topic(FRAMES)
        scans = [(make_frame(n, weld), scan(n, defect=n % 2 == 0)) for n in range(FRAMES_SENT)]
        sent = [encode_frame(frame, pixels, topic=topic, source="/test") for frame, pixels in scans]
        await services.publish("acquisition", sent)
        async with asyncio.timeout(60):
            while len([j for j in await judgements(operator) if j.weld_id == weld]) < FRAMES_SENT:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
    await services.publish("learner", [announcement(kafka, versions.roll_back("it sees nothing", 1))])
    with services.recaller() as recaller:
        async with asyncio.timeout(90):
            while not (told := [r for r in await recalls(operator) if r.weld_id == weld]):
                assert recaller.is_running, recaller.log_tail()
                await asyncio.sleep(0.5)
        await asyncio.to_thread(recaller.stop)
        assert recaller.returncode == 0, recaller.log_tail()
    assert [recall.flipped for recall in told] == [tuple(f"{weld}-{n}" for n in range(0, FRAMES_SENT, 2))]
    inspector = kafka.settings("inspector")
    asked = [decode_event(r, REVIEW_REQUESTS, ReviewRequest) for r in await records_of(inspector, REVIEW_REQUESTS)]
    recalled = [request.frame for request in asked if ReviewReason.RECALL in request.reasons]
    assert tuple(frame.frame_id for frame in recalled if frame.weld_id == weld) == told[0].flipped
    log = (services.folder / "recaller.log").read_text()
    assert "Authenticated as recaller via SCRAM-SHA-512" in log
    assert not any(secret in log for secret in kafka.passwords.values())


def publish_versions(services: Services, versions: ModelRegistry) -> None:
    """Put two versions into the registry: one that finds defects, and one that sees nothing."""
    store = ArtifactStore(services.registry.uri, cache_dir=services.folder / "cache")
    graph = graph_bytes()
    for number, threshold in ((1, 3.0), (2, BLIND)):
        weights = save(tiny_weights(1, threshold))
        for blob in (graph, weights):
            store.put(blob)
        version = make_version(number, graph, weights)
        names = set(type(version).model_fields) - {"model", "signature"}
        published = versions.publish(**{name: getattr(version, name) for name in names})
        assert published.model.version == number


def announcement(kafka: SecuredKafka, released: ModelReleased) -> OutRecord:
    name = released.version.model.name
    return encode_event(
        kafka.settings("learner").topic(MODEL_RELEASES),
        MODEL_RELEASES,
        released,
        key=name,
        event_id=f"{name}-{released.sequence}",
        source="/test",
        time=released.announced_at,
    )


def metrics(service: ServiceProcess) -> str:
    try:
        with urllib.request.urlopen(f"{service.url}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""  # it starts


async def judgements(kafka: KafkaSettings) -> list[Judgement]:
    return [decode_event(record, JUDGEMENTS, Judgement) for record in await records_of(kafka, JUDGEMENTS)]


async def recalls(kafka: KafkaSettings) -> list[WeldRecall]:
    return [decode_event(record, RECALLS, WeldRecall) for record in await records_of(kafka, RECALLS)]


async def assert_keys_have_the_prefix(admin: Redis) -> None:
    keys = [key.decode() async for key in admin.scan_iter(match="*")]
    assert any(key.startswith("{weldstream:memory}:sample:label-") for key in keys)
    assert all(key.startswith("{weldstream:") for key in keys)


@pytest.mark.timeout(120)
async def test_a_wrong_password_of_kafka_ends_the_process_and_is_named_without_it(services: Services) -> None:
    with services.inference(password=WRONG) as inference:
        assert await asyncio.to_thread(inference.wait, 60) != 0
    log = inference.log_tail(1_000_000)
    assert "refuses the user 'inference'" in log
    assert WRONG not in log


@pytest.mark.timeout(120)
async def test_a_wrong_password_of_redis_ends_the_process_and_is_named_without_it(
    services: Services, kafka: SecuredKafka
) -> None:
    with (
        services.learner(redis_password=WRONG) as learner,
        pytest.raises(ProcessFailedError, match="ended with status"),
    ):
        await asyncio.to_thread(learner.wait_ready, 90)
    log = learner.log_tail(1_000_000)
    assert "Redis refuses our user" in log
    assert WRONG not in log
    assert kafka.passwords["learner"] not in log
