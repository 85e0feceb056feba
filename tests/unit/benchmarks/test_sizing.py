from dataclasses import fields, replace

import pytest

from benchmarks.figures import measured
from benchmarks.sizing import Cost, Plant, Sizes, as_figures, size, sizes
from learner.settings import MemorySettings, TrainingSettings
from schemas.topics import DAY_MS, FRAMES, JUDGEMENTS, REVIEW_REQUESTS

COSTS = {
    Cost.CAPACITY: 25.0,
    Cost.MEMORY: 512.0,
    Cost.INFERENCE: 35.0,
    Cost.BROKER: 1.0,
    Cost.FRAME: 50_000.0,
    Cost.JUDGEMENT: 2_000.0,
    Cost.REQUEST: 80_000.0,
    Cost.REST: 500.0,
    Cost.ASKED: 0.1,
    Cost.SAMPLE: 131_072.0,
    Cost.STEP: 60.0,
}
PLANT = Plant(lines=10, rate=100, load=0.5, replicas=3, labels_per_hour=3600, domains=4, node_cores=32)


def found(**changes: float) -> Sizes:
    return size(COSTS, replace(PLANT, **changes), MemorySettings(), TrainingSettings())


def test_processes_and_cores_follow_from_what_one_bears() -> None:
    sizes = found()
    assert sizes.frames == 1000
    assert sizes.processes == 80  # 1000 / (25 * 0.5)
    assert sizes.partitions == 120
    assert sizes.inference_cores == pytest.approx(70)
    assert sizes.nodes == 3
    assert sizes.inference_memory_gib == 40
    assert sizes.broker_cores == pytest.approx(6)


def test_disk_follows_from_the_retention_of_each_topic() -> None:
    frames, judgements, requests = (t.retention_ms / DAY_MS for t in (FRAMES, JUDGEMENTS, REVIEW_REQUESTS))
    per_frame = 50_000 * frames + 2_000 * judgements
    assert found().broker_disk_tib == pytest.approx(1000 * 86_400 * per_frame * 3 / 2**40)
    assert found().review_disk_tib == pytest.approx(1000 * 86_400 * 8_000 * requests * 3 / 2**40)


def test_network_carries_all_that_is_written_and_its_copies() -> None:
    assert found().network_in_gbit == pytest.approx(1000 * 60_500 * 3 * 8 / 1e9)
    assert found(replicas=1).network_out_gbit == pytest.approx(1000 * 60_500 * 8 / 1e9)


def test_the_learner_rehearses_all_past_domains_at_each_step() -> None:
    training = TrainingSettings()
    steps = training.steps_per_label + training.idle_steps_per_label
    samples = training.batch_size + 3 * training.replay_per_domain
    assert found().learner_cores == pytest.approx(steps * samples * 0.06)
    assert found(domains=1).learner_cores == pytest.approx(steps * training.batch_size * 0.06)


def test_memory_holds_what_is_rehearsed_and_what_is_held_out() -> None:
    memory = MemorySettings()
    assert found().redis_mib == pytest.approx((memory.samples + memory.validation_samples) / 8)


def test_twice_the_frames_take_twice_as_much() -> None:
    one, two = found(), found(lines=20)
    for name in ("processes", "inference_cores", "broker_cores", "broker_disk_tib", "network_in_gbit"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name))
    assert (two.redis_mib, two.learner_cores) == (one.redis_mib, one.learner_cores)


def test_every_size_is_a_figure_and_every_cost_is_named_in_one() -> None:
    figures = as_figures(found(), {str(k): v for k, v in COSTS.items()}, PLANT)
    assert len(figures) == len(fields(Sizes))
    methods = " ".join(figure.method for figure in figures)
    assert all(str(cost) in methods for cost in Cost)


def test_a_result_that_is_missing_is_named() -> None:
    figures = [measured(cost, value, "", "how") for cost, value in COSTS.items() if cost != Cost.BROKER]
    with pytest.raises(KeyError, match="broker, core time a frame"):
        sizes(figures)
