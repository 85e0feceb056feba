"""Makes the memories anew from the labels topic alone."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime

from learner.holdout import HoldoutRule
from learner.labels import LabelReader
from learner.settings import LearnerSettings
from learner.stores import Memories
from schemas.errors import BadRecordError
from schemas.topics import LABELS
from stream.reading import partitions_of, read_to_end


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
    admitted = 0
    partitions = await partitions_of(settings.kafka, settings.kafka.topic(LABELS))
    async with aclosing(read_to_end(settings.kafka, partitions)) as records:
        async for record in records:
            try:
                label, _ = reader.read(record, clock())
            except BadRecordError:
                continue
            sample = label.sample
            held_out = holdout.holds_out(sample.domain, sample.weld_id, sample.label_id)
            memory = memories.validation if held_out else memories.episodic
            admitted += not (await memory.admit(sample)).duplicate
    return admitted
