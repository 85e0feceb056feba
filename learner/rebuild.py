"""Makes the memories anew from the labels topic alone."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from learner.extras import Extras, Remembering
from learner.holdout import HoldoutRule
from learner.labels import Label, LabelReader
from learner.settings import LearnerSettings
from learner.stores import Memories
from memory.samples import Sample
from schemas.errors import BadRecordError
from schemas.topics import LABELS
from stream.reading import partitions_of, read_to_end


async def rebuild_memory(
    settings: LearnerSettings,
    memories: Memories,
    reader: LabelReader,
    holdout: HoldoutRule,
    clock: Callable[[], datetime],
    *,
    first: tuple[Sequence[Sample], Sequence[Sample]] = ((), ()),
    until: Mapping[int, int] | None = None,
    wanted: Callable[[Label], bool] = lambda _: True,
    placed: Callable[[Label], Label],
    extras: Extras,
) -> int:
    """Clear both memories and admit the labels that the topic holds; the memories are then as they were.

    Admissions depend on the labels and their order alone. No learner may run meanwhile.

    Parameters
    ----------
    settings, memories, reader, holdout, clock : LearnerSettings, Memories, LabelReader, HoldoutRule, callable
        As the learner has them.
    first : pair of sequences of Sample
        What did not come by the topic: admitted before it, and held out.
    until : mapping of int to int or None
        By partition the first offset that is left out; None takes all.
    wanted : callable
        False leaves a label out.
    placed : callable
        Puts a label into its domain; asked once of each, in the order of the topic.
    extras : Extras
        What is stored with the samples that are rehearsed.

    Returns
    -------
    int
        Labels admitted; those that cannot be read are passed over, they have their dead letters.
    """
    await memories.episodic.clear()
    await memories.validation.clear()
    remembering = Remembering(memories.episodic, extras, None)
    admitted, known = 0, set[str]()
    for admit, samples in zip((remembering.admit, memories.validation.admit), first, strict=True):
        for sample in samples:
            admitted += not (await admit(sample)).duplicate
    partitions = await partitions_of(settings.kafka, settings.kafka.topic(LABELS))
    async with aclosing(read_to_end(settings.kafka, partitions)) as records:
        async for record in records:
            if until is not None and record.offset >= until.get(record.partition, 0):
                continue
            try:
                label, _ = reader.read(record, clock())
            except BadRecordError:
                continue
            if label.sample.label_id in known or not wanted(label):
                continue
            known.add(label.sample.label_id)
            sample = placed(label).sample
            held_out = holdout.holds_out(sample.domain, sample.weld_id, sample.label_id)
            admit = memories.validation.admit if held_out else remembering.admit
            admitted += not (await admit(sample)).duplicate
    return admitted
