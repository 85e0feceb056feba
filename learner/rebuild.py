"""Makes the memories anew from the labels topic alone."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from learner.holdout import HoldoutRule
from learner.labels import LabelReader
from learner.settings import LearnerSettings
from learner.stores import Memories
from schemas.errors import BadRecordError
from schemas.topics import LABELS
from stream.broker import make_consumer

_POLL_MS = 500


async def rebuild_memory(
    settings: LearnerSettings,
    memories: Memories,
    reader: LabelReader,
    holdout: HoldoutRule,
    clock: Callable[[], datetime],
) -> int:
    """Clear both memories and admit all labels that the topic holds now; the memories are then as they were.

    Admissions depend on the labels and their order alone. No learner may run meanwhile.

    Returns
    -------
    int
        Labels admitted; those that cannot be read are passed over, they have their dead letters.
    """
    await memories.episodic.clear()
    await memories.validation.clear()
    consumer: Any = make_consumer(settings.kafka, (LABELS,), client_id="weldstream-rebuild")
    await consumer.start()
    admitted = 0
    try:
        # Without a group a subscription is all partitions, assigned when started.
        partitions = sorted(consumer.assignment())
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            batches = await consumer.getmany(*partitions, timeout_ms=_POLL_MS)
            for records in batches.values():
                for record in records:
                    try:
                        label, _ = reader.read(record, clock())
                    except BadRecordError:
                        continue
                    sample = label.sample
                    held_out = holdout.holds_out(sample.domain, sample.weld_id, sample.label_id)
                    memory = memories.validation if held_out else memories.episodic
                    admitted += not (await memory.admit(sample)).duplicate
    finally:
        await consumer.stop()
    return admitted
