"""One inference process: its parts, in the order in which they start and stop."""

import asyncio
import dataclasses
import logging
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from inference.alerts import AlertRule
from inference.clients import Consumer
from inference.http import HttpServer, make_app
from inference.installer import ModelInstaller
from inference.metrics import InferenceMetrics
from inference.outputs import Outputs
from inference.partitions import Partitions
from inference.pinned import serve_pinned
from inference.pipeline import FramePipeline
from inference.releases import ReleaseFollower
from inference.service import InferenceService
from inference.session import SessionLoader
from inference.settings import InferenceSettings
from inference.sink import PATIENT, AtLeastOnceSink
from inference.slot import SessionSlot
from memory.artifacts import ArtifactStore
from memory.registry import ModelRegistry
from schemas.errors import WeldstreamError
from schemas.topics import FRAMES, JUDGEMENTS, MODEL_RELEASES, TOPICS
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.codec import FrameLimits
from stream.records import InRecord
from stream.topics import ensure_topics

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)
