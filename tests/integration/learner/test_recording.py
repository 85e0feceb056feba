"""Labels are copied out of a real broker, and learned again."""

from dataclasses import replace
from pathlib import Path

import pytest

from learner.lab.errors import BadExperimentError
from learner.lab.recording import record_labels
from learner.lab.streams.recorded import MANIFEST, RecordedConfig
from schemas.settings import KafkaSettings, RedisSettings
from tests.integration.learner.outside import NOW, Outside, make_label, picture, tiny_settings


async def test_labels_are_copied_and_are_a_stream(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    labels = [
        make_label(i, weld=f"weld-{domain}-{i % 4}", domain=domain) for domain in ("first", "second") for i in range(12)
    ]
    async with Outside(settings) as outside:
        await outside.send(labels)
        await outside.send_record(replace(outside.record(make_label(99)), value=b"{}"))
        whole = await record_labels(settings, tmp_path / "all", lambda: NOW)
        part = await record_labels(settings, tmp_path / "part", lambda: NOW, start={0: 4}, ends={0: 20})
        with pytest.raises(BadExperimentError, match="already"):
            await record_labels(settings, tmp_path / "all", lambda: NOW)
        with pytest.raises(BadExperimentError, match="holds offsets 0 to 25"):
            await record_labels(settings, tmp_path / "beyond", lambda: NOW, ends={0: 1000})

    (range_,) = whole.ranges
    assert (range_.start, range_.end, range_.labels, range_.unreadable) == (0, 25, 24, 1)
    assert (part.ranges[0].labels, part.domains) == (16, ("first", "second"))
    assert part.ranges[0].digest != range_.digest
    assert {weld: whole.split[weld] for weld in part.split} == part.split
    assert (tmp_path / "all" / MANIFEST).exists()

    stream = RecordedConfig(data=tmp_path / "all", size=64).open(0)
    assert [domain.name for domain in stream.domains] == ["first", "second"]
    domain = stream.domains[0]
    assert len(domain.train) + len(domain.validation) + len(domain.test) == 12
    masks = [label for label in range(12) if whole.split[f"weld-first-{label % 4}"] == "train"]
    for taken, number in zip(domain.train.take().targets, masks, strict=True):
        assert (taken.numpy() == picture(number)[1]).all()
