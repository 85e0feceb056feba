"""What is stored with samples beside themselves."""

import numpy as np
import pytest
import torch

from learner.embedding import FrozenEmbedder
from learner.extras import Extras, Remembering, StoredLogits, make_extras
from learner.model import ModelConfig
from learner.settings import LearnerSettings, MemorySettings
from memory.admission import EMBEDDING, EMBEDDING_SIZE, LARGEST_EMBEDDING, whole_embedding
from memory.samples import LOGITS, Sample
from stream.simulator.domains import DOMAINS
from stream.simulator.source import SimulatorSource
from tests.unit.learner.records import make_memory, make_sample

TINY = ModelConfig(encoder_depth=3, decoder_channels=(16, 8, 8), pretrained=False)


def scans(domain: int, seed: int = 0) -> list[Sample]:
    source = SimulatorSource([DOMAINS[domain]], seed=seed, welds=2, frames_per_weld=4)
    return [
        Sample(s.frame.frame_id, s.frame.domain, s.frame.weld_id, s.pixels, np.asarray(s.mask, np.uint8))
        for s in source
    ]


@pytest.mark.parametrize("config", [TINY, ModelConfig()], ids=["random", "pretrained"])
def test_an_embedding_is_the_same_whoever_makes_it_and_tells_inspections_apart(config: ModelConfig) -> None:
    samples = scans(0) + scans(1)
    first, second = (FrozenEmbedder.of(config, 6, seed=3) for _ in range(2))
    points = np.stack([whole_embedding(s.label_id, first(s)) for s in samples]).astype(float)
    assert points.shape == (16, EMBEDDING_SIZE)
    assert np.array_equal(points, np.stack([second(s) for s in samples]))
    assert len({tuple(point) for point in points}) == 16
    assert np.abs(points).max() < LARGEST_EMBEDDING
    assert points.std() > 5
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    within = (apart[:8, :8].sum() + apart[8:, 8:].sum()) / (2 * 8 * 7)
    assert within < apart[:8, 8:].mean()


def test_a_defect_moves_an_embedding() -> None:
    embed = FrozenEmbedder.of(TINY, 3, seed=0)
    (sample,) = scans(0)[:1]
    empty = Sample("x", "a", "w", sample.pixels, np.zeros_like(sample.mask))
    shown = np.zeros_like(sample.mask)
    shown[40:80, 60:90] = 1
    assert not np.array_equal(embed(empty), embed(Sample("y", "a", "w", sample.pixels, shown)))


def test_a_sample_has_its_final_size_before_its_logits_are_known() -> None:
    logits = StoredLogits()
    extras = Extras(FrozenEmbedder.of(TINY, 3, 0), 3, 4, logits)
    sample = make_sample(1, side=10)
    reserved = extras.reserved(sample)
    answered = np.random.default_rng(0).random((3, 3, 3), np.float32)
    complete = extras.with_logits(sample, answered)
    assert np.isnan(reserved.extras[LOGITS]).all()
    assert len(reserved.to_bytes()) == len(complete.to_bytes())
    assert np.array_equal(reserved.extras[EMBEDDING], complete.extras[EMBEDDING])
    assert np.array_equal(complete.extras[LOGITS], answered)
    logits.keep(sample.label_id, answered)
    assert extras.reserved(sample).to_bytes() == complete.to_bytes()
    logits.forget([sample.label_id, "unknown"])
    assert extras.reserved(sample).to_bytes() == reserved.to_bytes()


def test_stored_logits_are_written_down_and_read_back() -> None:
    before, after = StoredLogits(), StoredLogits()
    before.keep("label-1", np.ones((2, 3, 4), np.float32))
    after.restore(before.state())
    found = after.get("label-1")
    assert found is not None
    assert found.shape == (2, 3, 4)
    assert all(torch.equal(t, before.state().tensors[name]) for name, t in after.state().tensors.items())


def test_only_what_the_settings_want_is_stored() -> None:
    sample = make_sample(1, side=40)
    plain = make_extras(LearnerSettings(model=TINY), StoredLogits())
    assert plain.reserved(sample) is sample
    coreset = make_extras(LearnerSettings(model=TINY, memory=MemorySettings(policy="coreset")), StoredLogits())
    assert set(coreset.reserved(sample).extras) == {EMBEDDING}


async def test_logits_of_what_leaves_the_memory_are_forgotten() -> None:
    logits = StoredLogits()
    memory = make_memory(samples=2)
    remembering = Remembering(memory, Extras(None, 3, 2, logits), logits)
    for number in range(12):
        sample = make_sample(number)
        admission = await remembering.admit(sample)
        (complete,) = await remembering.store_logits([sample], [np.zeros((3, 3, 3), np.float32)])
        assert LOGITS in complete.extras
        assert (logits.get(sample.label_id) is not None) is admission.admitted
    assert len(logits.state().tensors) == 2
