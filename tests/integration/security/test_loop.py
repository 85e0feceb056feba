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

from memory.stores.redis import open_redis
from schemas.judgements import Judgement
from schemas.labels import ReviewRequest
from schemas.topics import FRAMES, JUDGEMENTS, LABELS, REVIEW_REQUESTS, Topic
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.codec import decode_event, encode_event, encode_frame
from stream.local.ports import free_port
from stream.local.process import ProcessFailedError
from stream.local.reaper import Reaper
from stream.local.service import ServiceProcess
from stream.records import InRecord, OutRecord
from tests.integration.learner.outside import NOW, frame, make_label, picture, tiny_settings
from tests.integration.security.conftest import deploy
from tests.integration.security.secured import ADMIN, SecuredKafka, SecuredRedis
from tests.keys import signed_registry

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
    def running(self, name: str, more: dict[str, str], secrets: dict[str, str]) -> Iterator[ServiceProcess]:
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
            f"{name}.app",
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
