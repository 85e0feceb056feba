"""Kafka, Redis and our services, started together and stopped together."""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from memory.key_files import KeyPair, ensure_key_pair
from schemas.settings import ENV_PREFIX, KafkaSettings, RedisSettings, RegistrySettings
from stream.local.jars import kafka_jars
from stream.local.kafka import KafkaBroker
from stream.local.lock import FolderLock
from stream.local.ports import free_port
from stream.local.prerequisites import find_java, find_redis
from stream.local.process import ManagedProcess
from stream.local.reaper import Reaper
from stream.local.redis import RedisServer
from stream.local.service import ServiceProcess

logger = logging.getLogger(__name__)

SIGNING_KEY = "WELDSTREAM_REGISTRY__SIGNING_KEY"


@dataclass(frozen=True, slots=True)
class StackPorts:
    """Ports on 127.0.0.1; None takes a free one."""

    kafka: int | None = None
    controller: int | None = None
    redis: int | None = None


class LocalStack:
    """A real Kafka and a real Redis on loopback, and the services that are started on them.

    However this process ends, ``kill -9`` included, nothing that it started
    goes on running, and the next stack may use the same data folder.

    Parameters
    ----------
    data_dir : Path, optional
        Where Kafka, Redis and the model registry keep their data between runs;
        by default a temporary folder that is deleted at the end.
    ports : StackPorts
        Where Kafka and Redis listen.
    cache : Path, optional
        Where Kafka's jars are kept; see `stream.local.jars.cache_folder`.

    Attributes
    ----------
    folder : Path
        The data folder in use.
    kafka, redis : KafkaBroker, RedisServer
        Each may be killed, paused and started again on its own.
    services : mapping of str to ServiceProcess
        By name, in the order in which they were started.
    keys : KeyPair
        What releases are signed with; made at the first start and kept with the data.

    Examples
    --------
    >>> with LocalStack() as stack:  # doctest: +SKIP
    ...     inference = stack.start_service("inference", "inference.app")
    ...     inference.wait_ready()
    """

    def __init__(
        self, data_dir: Path | None = None, ports: StackPorts | None = None, *, cache: Path | None = None
    ) -> None:
        self._data_dir = data_dir
        self._ports = ports or StackPorts()
        self._cache = cache
        self._promised: set[int] = set()
        self._services: dict[str, ServiceProcess] = {}
        self._running = False
        self.folder: Path
        self.kafka: KafkaBroker
        self.redis: RedisServer
        self.keys: KeyPair

    @property
    def services(self) -> Mapping[str, ServiceProcess]:
        """The services by name, in the order in which they were started."""
        return MappingProxyType(self._services)

    @property
    def kafka_settings(self) -> KafkaSettings:
        """How to reach Kafka."""
        return KafkaSettings(bootstrap_servers=self.kafka.bootstrap_servers)

    @property
    def redis_settings(self) -> RedisSettings:
        """How to reach Redis."""
        return RedisSettings.model_validate({"url": self.redis.url})

    @property
    def registry_settings(self) -> RegistrySettings:
        """Where the models are, and the keys with which they are signed and verified."""
        return RegistrySettings(
            uri=str(self.folder / "registry"), signing_key=self.keys.private, trusted_keys=(self.keys.public,)
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell the learner and operators where everything is."""
        return {
            "WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "WELDSTREAM_REDIS__URL": self.redis.url,
            "WELDSTREAM_REGISTRY__URI": self.registry_settings.uri,
            "WELDSTREAM_REGISTRY__TRUSTED_KEYS": json.dumps([str(self.keys.public)]),
            SIGNING_KEY: str(self.keys.private),
            "WELDSTREAM_CHECKPOINT__FOLDER": str(self.folder / "learner"),
        }

    def start(self) -> Self:
        """Start Kafka and Redis and wait until both serve.

        Raises
        ------
        PrerequisiteError
            If something is not installed; the message says what installs it.
        FolderInUseError
            If another stack runs on the data folder.
        ProcessFailedError
            If one of them does not start.
        KeyFileError
            If the keys in the data folder cannot be used.
        """
        java, jars, redis_server = find_java(), kafka_jars(self._cache), find_redis()
        self.folder = (self._data_dir or Path(tempfile.mkdtemp(prefix="weldstream-"))).resolve()
        self._lock = FolderLock(self.folder)
        self._reaper = Reaper(keep_open=(self._lock.fileno,))
        self._running = True
        try:
            if self._data_dir is None:
                self._reaper.remove_at_end(self.folder)
            self.keys = ensure_key_pair(self.folder / "keys")
            self.kafka = KafkaBroker(
                self.folder / "kafka",
                java=java,
                jars=jars,
                port=self._port(self._ports.kafka),
                controller_port=self._port(self._ports.controller),
                reaper=self._reaper,
            )
            self.redis = RedisServer(
                self.folder / "redis", executable=redis_server, port=self._port(self._ports.redis), reaper=self._reaper
            )
            self.redis.prepare()
            self.redis.start(wait=False)
            self.kafka.prepare()
            self.kafka.start()
            self.redis.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def start_service(
        self,
        name: str,
        module: str,
        env: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        wait: Literal["ready", "alive", "none"] = "alive",
    ) -> ServiceProcess:
        """Start one of our services on the stack.

        Parameters
        ----------
        name : str
            Unique; also names its log file, ``logs/NAME.log``.
        module : str
            What ``python -m`` runs.
        env : mapping, optional
            More variables for it. Those named ``WELDSTREAM_*`` of this
            process are not handed on, and where the private key is, only the
            learner is told.
        port : int, optional
            Of its health endpoints; by default a free one.
        wait : {"ready", "alive", "none"}
            What to wait for. An inference service without a model is alive but
            not ready.

        Raises
        ------
        ValueError
            If a service of this name runs already.
        ProcessFailedError
            If it does not start.
        """
        if name in self._services and self._services[name].is_running:
            raise ValueError(f"a service named {name} runs already")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(ENV_PREFIX)}
        told = {k: v for k, v in self.environment.items() if k != SIGNING_KEY or module.startswith("learner.")}
        service = ServiceProcess(
            name,
            module,
            port=self._port(port),
            env={**inherited, "PYTHONUNBUFFERED": "1", **told, **(env or {})},
            log_file=self.folder / "logs" / f"{name}.log",
            cwd=self.folder,
            reaper=self._reaper,
        )
        self._services.pop(name, None)
        self._services[name] = service
        service.start(wait=wait == "ready")
        if wait == "alive":
            service.wait_alive()
        return service

    def stop(self) -> None:
        """Stop everything, the last started first."""
        if not self._running:
            return
        self._running = False
        started: list[ManagedProcess] = [p for p in (self.__dict__.get("kafka"), self.__dict__.get("redis")) if p]
        try:
            for process in reversed([*started, *self._services.values()]):
                process.stop()
        finally:
            # Whatever the loop above did not come to, the reaper ends; it also deletes a temporary folder.
            self._reaper.close()
            self._lock.release()
            if self._data_dir is None:
                shutil.rmtree(self.folder, ignore_errors=True)
            self._promised.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _port(self, wanted: int | None) -> int:
        port = free_port(exclude=frozenset(self._promised)) if wanted is None else wanted
        self._promised.add(port)
        return port
