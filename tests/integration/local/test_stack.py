"""The stack with real Kafka and Redis, ended in every way in which a program ends."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis import Redis

from stream.local import FolderInUseError, LocalStack, StackPorts
from stream.local.ports import accepts, free_port

SERVICE = """
import http.server, os
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" or os.path.exists("ready") else 503)
        self.end_headers()
    def log_message(self, *args):
        pass
address = (os.environ["WELDSTREAM_HTTP__HOST"], int(os.environ["WELDSTREAM_HTTP__PORT"]))
print({name: value for name, value in os.environ.items() if name.startswith("WELDSTREAM_")})
http.server.ThreadingHTTPServer(address, Health).serve_forever()
"""
PROGRAM = """
import json, sys, time
from pathlib import Path
from stream.local import LocalStack, exit_on_signals
with exit_on_signals(), LocalStack(Path(sys.argv[1]) if sys.argv[1] else None) as stack:
    service = stack.start_service("sample", "sample_service", {"PYTHONPATH": sys.argv[2]})
    pids = [stack.kafka.pid, stack.redis.pid, service.pid]
    print(json.dumps({"pids": pids, "folder": str(stack.folder), "kafka": stack.kafka.port}), flush=True)
    time.sleep(600)
"""


pytestmark = pytest.mark.usefixtures("java_and_jars", "redis_executable")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "sample_service.py").write_text(SERVICE)
    return folder


def is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def eventually(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def begin(data_dir: str, modules: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, data_dir, str(modules)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    with program.stdout:
        line = program.stdout.readline()
    assert line, f"the stack did not start: status {program.wait()}"
    return program, json.loads(line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_behind(number: signal.Signals, modules: Path) -> None:
    program, state = begin("", modules)
    assert all(is_alive(pid) for pid in state["pids"])
    program.send_signal(number)
    try:
        program.wait(60)
    finally:
        program.kill()
        program.wait()
    eventually(lambda: not any(is_alive(pid) for pid in state["pids"]))
    eventually(lambda: not Path(state["folder"]).exists())
    assert not accepts(state["kafka"])


def test_a_crashed_run_does_not_block_the_next(tmp_path: Path, modules: Path) -> None:
    data = tmp_path / "data"
    program, state = begin(str(data), modules)
    with pytest.raises(FolderInUseError, match=str(program.pid)):
        LocalStack(data).start()
    program.kill()
    program.wait()
    with LocalStack(data):
        assert not any(is_alive(pid) for pid in state["pids"])


def test_a_half_formatted_kafka_is_formatted_again(tmp_path: Path) -> None:
    broken = tmp_path / "kafka" / "data"
    broken.mkdir(parents=True)
    (broken / "meta.properties").write_text("version=1\n")
    with LocalStack(tmp_path) as stack:
        assert accepts(stack.kafka.port)


async def test_data_outlives_a_stop_a_kill_and_a_change_of_ports(tmp_path: Path) -> None:
    partition = TopicPartition("kept", 0)

    async def read(stack: LocalStack) -> list[bytes]:
        async with AIOKafkaConsumer(bootstrap_servers=stack.kafka.bootstrap_servers) as consumer:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            records = await asyncio.wait_for(consumer.getmany(partition, timeout_ms=20_000), 30)
            return [record.value for record in records[partition]]

    with LocalStack(tmp_path) as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers) as producer:
            await producer.send_and_wait("kept", b"frame", partition=0)
        with Redis.from_url(stack.redis.url) as redis:
            redis.set("kept", "sample")

        stack.kafka.kill()
        stack.kafka.start()
        assert await read(stack) == [b"frame"]
        with Redis.from_url(stack.redis.url) as redis:
            eventually(lambda: redis.info("persistence")["aof_pending_bio_fsync"] == 0)
        stack.redis.restart()
        first_port = stack.kafka.port

    with LocalStack(tmp_path, StackPorts(kafka=free_port(exclude=frozenset({first_port})))) as stack:
        assert stack.kafka.port != first_port
        assert await read(stack) == [b"frame"]
        with Redis.from_url(stack.redis.url) as redis:
            assert redis.get("kept") == b"sample"


def test_a_service_is_told_where_everything_is(tmp_path: Path, modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS", "production:9092")
    with LocalStack(tmp_path) as stack:
        service = stack.start_service("sample", "sample_service", {"PYTHONPATH": str(modules)})
        assert not service.is_ready()
        (tmp_path / "ready").touch()
        service.wait_ready()
        assert f"'WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS': '{stack.kafka.bootstrap_servers}'" in service.log_tail()
        assert f"'WELDSTREAM_REDIS__URL': '{stack.redis.url}'" in service.log_tail()
        with pytest.raises(ValueError, match="runs already"):
            stack.start_service("sample", "sample_service")
        assert list(stack.services) == ["sample"]
        # Whom to trust is told to everybody, where the private key is only to the learner and to people.
        assert str(stack.keys.public) in service.log_tail()
        assert "SIGNING_KEY" not in service.log_tail()
        assert stack.environment["WELDSTREAM_REGISTRY__SIGNING_KEY"] == str(stack.keys.private)
        assert stack.keys.private.stat().st_mode & 0o777 == 0o600
        keys = stack.keys
    assert not service.is_running
    with LocalStack(tmp_path) as stack:
        assert stack.keys == keys, "the keys stay with the data"
