"""A real Apache Kafka broker as a child process: KRaft, one node that is broker and controller."""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stream.local.jars import DEPLOY_KAFKA
from stream.local.ports import LOOPBACK, accepts
from stream.local.process import ManagedProcess, ProcessFailedError
from stream.local.reaper import Reaper

LARGEST_RECORD_BYTES = 16 * 1024 * 1024

# A broker for one machine: little heap, and a start that is not spent on optimising code that runs briefly.
JVM_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


@dataclass(frozen=True, slots=True)
class Detour:
    """A second listener, whose clients come by way of something in between.

    Attributes
    ----------
    port : int
        Where the broker listens.
    advertised : int
        The port that it tells clients who came this way.
    """

    port: int
    advertised: int


def server_properties(
    *,
    port: int,
    controller_port: int,
    log_dir: Path,
    detour: Detour | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the broker's configuration file; ``more`` settings go before ours."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": log_dir,
        "message.max.bytes": LARGEST_RECORD_BYTES,
        "replica.fetch.max.bytes": LARGEST_RECORD_BYTES,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        **more,
    }
    if detour is not None:
        settings["listeners"] = f"{settings['listeners']},DETOUR://{LOOPBACK}:{detour.port}"
        settings["advertised.listeners"] = f"{settings['advertised.listeners']},DETOUR://{LOOPBACK}:{detour.advertised}"
        settings["listener.security.protocol.map"] = f"{settings['listener.security.protocol.map']},DETOUR:PLAINTEXT"
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def new_cluster_id(random: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """Return a random cluster id: a base64url UUID that Kafka's tools do not take for an option."""
    while (cluster_id := base64.urlsafe_b64encode(random().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster_id


class KafkaBroker(ManagedProcess):
    """A broker on loopback whose data outlives it.

    Killed or stopped, it starts again on the same port with the same data.

    Parameters
    ----------
    folder : Path
        Its data, configuration and log.
    java, jars : Path
        The Java to run it with, and the folder of its jars.
    port, controller_port : int
        Where clients connect, and where it speaks with itself.
    reaper : Reaper
        Stops it should this process die.
    detour : Detour, optional
        A second way to it, which tests of bad networks break.
    properties : mapping
        More settings, which go before ours: listeners with encryption, an authorizer.
    users : mapping
        SCRAM-SHA-512 users that exist from the first start on, and their passwords.
    """

    def __init__(
        self,
        folder: Path,
        *,
        java: Path,
        jars: Path,
        port: int,
        controller_port: int,
        reaper: Reaper,
        detour: Detour | None = None,
        properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.port = port
        self.controller_port = controller_port
        self.detour = detour
        self._java = (str(java), *JVM_OPTIONS, f"-Dlog4j2.configurationFile={DEPLOY_KAFKA / 'log4j2.xml'}")
        self._classpath = ("-cp", f"{jars}/*")
        self._properties = dict(properties or {})
        self._users = dict(users or {})
        self._configuration = self.folder / "server.properties"
        super().__init__(
            "kafka",
            (*self._java, *self._classpath, "kafka.Kafka", str(self._configuration)),
            log_file=self.folder / "kafka.log",
            ready=lambda: accepts(port),
            reaper=reaper,
            cwd=self.folder,
        )

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration, and format the data folder where that has not been done to its end.

        Raises
        ------
        ProcessFailedError
            If Kafka cannot format the folder.
        """
        data = self.folder / "data"
        formatted = self.folder / "formatted"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configuration.touch(mode=0o600)  # it may hold passwords and a key
        self._configuration.write_text(
            server_properties(
                port=self.port,
                controller_port=self.controller_port,
                log_dir=data,
                detour=self.detour,
                more=self._properties,
            )
        )
        if formatted.exists():
            return
        shutil.rmtree(data, ignore_errors=True)  # half formatted by a run that was interrupted
        cluster_id = new_cluster_id()
        command = (*self._java, *self._classpath, "kafka.tools.StorageTool", "format", "-t", cluster_id)
        users = (f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in self._users.items())
        added = (word for user in users for word in ("--add-scram", user))
        done = subprocess.run(  # noqa: S603 - built here
            (*command, "-c", self._configuration, *added),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise ProcessFailedError(f"kafka could not format {data}: {(done.stdout + done.stderr).strip()[-2000:]}")
        formatted.write_text(f"{cluster_id}\n")
