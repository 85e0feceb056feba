"""weldstream as it is, with its default settings."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.link import Link, linked
from benchmarks.peers.peer import Answer, Send
from benchmarks.peers.processes import started, terminated
from benchmarks.rig import SOURCE, Rig
from benchmarks.rig import Answers as RigAnswers
from memory.registry import ModelRegistry
from schemas import Judgement
from schemas.rasters import MediaType
from schemas.topics import DEAD_LETTERS, FRAMES, JUDGEMENTS
from stream.codec import decode_event, encode_frame
from stream.codec.images import FrameLimits
from stream.codec.rasters import decode_raster
from stream.dead_letters import read_dead_letter
from stream.local import LocalStack
from stream.local.service import ServiceProcess
from stream.records import InRecord, OutRecord
from stream.sources import SourceFrame

ID = "ce_id"
LIMITS = FrameLimits.model_validate({})


class Weldstream:
    """The inference service on the stack; a version is put in service by an announcement."""

    name = "weldstream"
    setting = "default settings; a new version judges the welds that begin after its announcement"

    def __init__(self, rig: Rig, link: Link) -> None:
        self._rig = rig
        self._link = link
        self._service: ServiceProcess | None = None

    @property
    def answers(self) -> Sequence[Answer]:
        """Judgements and dead letters so far."""
        return self._link.answers

    @property
    def log_file(self) -> Path:
        """The service's log."""
        return self._running().log_file

    def _running(self) -> ServiceProcess:
        if self._service is None:
            raise RuntimeError("weldstream was not started")
        return self._service

    async def start(self) -> None:
        """Start the service."""
        if self._service is None:
            self._service = self._rig.stack.start_service("inference", "inference.app", wait="none")
        await started(self._service)

    async def terminate(self) -> bool:
        """Stop it in order."""
        return await terminated(self._running())

    async def kill(self) -> None:
        """Kill it."""
        self._running().kill()

    def encode(self, scan: SourceFrame) -> Send:
        """Encode a frame as raw samples."""
        return self._link.sender(self._record(scan))

    def poison(self, scan: SourceFrame) -> Sequence[Send]:
        """Break the image, empty the value, and put bytes that are no text into a header."""
        record = self._record(scan)
        good = tuple((name, value) for name, value in record.headers if name != ID)

        def poisoned(kind: str, value: bytes | None, *more: tuple[str, bytes]) -> Send:
            identity = (ID, f"{scan.frame.frame_id}-{kind}".encode())
            return self._link.sender(replace(record, value=value, headers=(*good, identity, *more)))

        return (
            poisoned("payload", b"no image"),
            poisoned("empty", None),
            poisoned("header", record.value, ("ce_note", b"\xff\xfe")),
        )

    async def bump(self, version: int) -> None:
        """Promote a version and announce it."""
        await self._rig.release(version)

    def _record(self, scan: SourceFrame) -> OutRecord:
        topic = self._rig.kafka.topic(FRAMES)
        return encode_frame(scan.frame, scan.pixels, topic=topic, source=SOURCE, media_type=MediaType.RAW)


@contextlib.asynccontextmanager
async def weldstream(stack: LocalStack, registry: ModelRegistry) -> AsyncIterator[Weldstream]:
    """Run weldstream on a stack while the block runs."""
    kafka = stack.kafka_settings
    letters = kafka.topic(DEAD_LETTERS)

    def read(record: InRecord, at: float) -> Answer:
        return _letter(record, at) if record.topic == letters else _judgement(record, at)

    async with linked(kafka, (JUDGEMENTS, DEAD_LETTERS), read) as link:
        system = Weldstream(Rig(stack, kafka, registry, link.producer, RigAnswers()), link)
        try:
            yield system
        finally:
            if "inference" in stack.services:
                await asyncio.to_thread(stack.services["inference"].stop)


def _judgement(record: InRecord, at: float) -> Answer:
    judgement = decode_event(record, JUDGEMENTS, Judgement)
    mask = decode_raster(judgement.mask, LIMITS)
    return Answer(judgement.frame_id, at, judgement.model.version, hashlib.sha256(mask.tobytes()).hexdigest())


def _letter(record: InRecord, at: float) -> Answer:
    letter = read_dead_letter(record)
    identity = next((value for name, value in letter.original.headers if name == ID and value), b"")
    return Answer(identity.decode(errors="replace"), at, refused=f"dead letter: {letter.reason}")
