"""Small jobs, run for real."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from learner.lab.jobs import run_jobs
from learner.lab.judging import HeadLoss, judge, judged_classes
from learner.lab.networks import MlpConfig, build_network
from learner.lab.presets import method_named
from learner.lab.report import write_report
from learner.lab.results import Result, scores
from learner.lab.runner import run
from learner.lab.schedule import batches_of, joint_batches, number_of_batches
from learner.lab.settings import (
    EvaluationConfig,
    Experiment,
    Job,
    JointConfig,
    Method,
    OptimizerConfig,
    ReleaseConfig,
    Schedule,
)
from learner.lab.spreading import Workers
from learner.lab.streams import DigitsConfig
from learner.release_gate import GateConfig
from learner.strategies.fine_tuning import FineTuningConfig

HERE = Workers(count=1, backend="sequential")
DIGITS = DigitsConfig(domains=3, validation_share=0.1)
FINE_TUNING = Method(name="fine-tuning", strategy=FineTuningConfig())


def method(kind: str) -> Method:
    return method_named(kind, samples=60, draw=10, optimizer=OptimizerConfig())


def job(method: Method = FINE_TUNING, **settings: object) -> Job:
    return Job.model_validate({"stream": DIGITS, "method": method, "schedule": Schedule(batch_size=20), **settings})


@pytest.fixture(scope="module")
def replayed() -> Result:
    return run(job(method("replay"), evaluation=EvaluationConfig(every=20, samples=60)))


def test_replay_keeps_what_fine_tuning_forgets(replayed: Result) -> None:
    forgotten = scores(run(job()))
    kept = scores(replayed)
    assert forgotten["forgetting"] > kept["forgetting"] + 0.1
    assert kept["average"] > forgotten["average"] + 0.05


def test_a_result_is_repeatable_but_for_what_it_cost(replayed: Result) -> None:
    again = run(job(method("replay"), evaluation=EvaluationConfig(every=20, samples=60)))
    assert (again.matrix, again.looks, again.digest) == (replayed.matrix, replayed.looks, replayed.digest)


def test_it_is_judged_within_domains_and_at_their_end(replayed: Result) -> None:
    looks = [(look.step, look.domain, look.ended) for look in replayed.looks]
    each = -(-len(DIGITS.open(0).domains[0].train) // 20)
    assert replayed.steps == 3 * each
    assert [step for step, _, ended in looks if not ended] == list(range(20, 3 * each + 1, 20))
    assert [(step, domain) for step, domain, ended in looks if ended] == [(each * (i + 1), i) for i in range(3)]


@pytest.mark.parametrize("kind", ["gem", "a_gem", "der", "online_ewc", "si", "lwf", "bir", "generative_replay"])
def test_every_kind_runs_with_its_memory(kind: str) -> None:
    small = Schedule(batch_size=20, iterations=4)
    result = run(job(method(kind), schedule=small, evaluation=EvaluationConfig(ahead=False)))
    assert result.steps == 12
    assert result.matrix[0] == (None, None, None)
    assert result.matrix[1][1] is None
    assert result.kept_bytes > 0


def test_joint_takes_as_many_steps_of_all_domains_at_once() -> None:
    stream = DIGITS.open(0)
    schedule = Schedule(batch_size=20, steps_per_batch=2)
    batches = list(joint_batches(stream, schedule, 30, torch.Generator().manual_seed(0)))
    assert len(batches) == 2 * sum(number_of_batches(d.train, schedule) for d in stream.domains)
    result = run(job(Method(name="joint", strategy=JointConfig(samples_per_step=40))))
    assert result.steps == run(job()).steps
    assert result.matrix[1] == (None, None, None)
    assert "forgetting" not in scores(result)


def test_several_steps_on_each_batch() -> None:
    result = run(job(method("replay"), schedule=Schedule(batch_size=20, iterations=5, steps_per_batch=4)))
    assert (result.steps, result.samples) == (60, 300)


def test_an_epoch_takes_every_sample_once() -> None:
    train = DIGITS.open(0).domains[0].train
    taken = list(batches_of(train, Schedule(batch_size=100), torch.Generator().manual_seed(0)))
    assert sum(map(len, taken)) == len(train)
    assert len(taken[-1]) == len(train) % 100
    in_order = next(iter(batches_of(train, Schedule(batch_size=7, shuffle=False), torch.Generator())))
    torch.testing.assert_close(in_order.images, train.take(slice(7)).images)


def test_in_the_task_scenario_only_a_domains_own_classes_compete() -> None:
    stream = DigitsConfig(change="split", scenario="task").open(0)
    model = build_network(MlpConfig(), stream, 0)
    judged = judged_classes(model(stream.domains[2].test.take().images), stream, stream.domains[2])
    assert set(judged.tolist()) <= {4, 5}
    logits = torch.tensor([[9.0, 9, 9, 9, 1, 2, 9, 9, 9, 9]], requires_grad=True)
    loss = HeadLoss(stream)(logits, torch.tensor([5]))
    torch.testing.assert_close(
        loss, nn.functional.cross_entropy(torch.tensor([[1.0, 2]]), torch.tensor([1])[:1], reduction="none")
    )
    loss.sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 4] != 0
    assert logits.grad[0, [0, 1, 2, 3, 6, 7, 8, 9]].abs().max() == 0


@pytest.mark.parametrize("kind", ["ewc", "online_ewc"])
def test_what_nothing_has_taught_other_heads_holds_nothing(kind: str) -> None:
    split = DigitsConfig(change="split", scenario="task")
    own, plain = (
        run(
            job(
                method_named(name, samples=1, draw=1, optimizer=OptimizerConfig(kind="adam", learning_rate=1e-3)),
                stream=split,
                schedule=Schedule(batch_size=32, iterations=60),
            )
        )
        for name in (kind, "fine-tuning")
    )
    assert scores(own)["learning"] > scores(plain)["learning"] - 0.03
    assert scores(own)["average"] > scores(plain)["average"] - 0.01


def test_a_class_counts_as_a_pixel_for_the_gate() -> None:
    stream = DIGITS.open(0)
    model = build_network(MlpConfig(), stream, 0)
    judged = judge(model, stream, stream.domains[0], stream.domains[0].test)
    right = judged.score(masks=False)
    assert judged.pooled.foreground_dice == pytest.approx(2 * right / (1 + right))


def test_releases_pass_the_gate_and_are_counted() -> None:
    strict = ReleaseConfig(every=10, gate=GateConfig(overall_margin=0, domain_margin=0, min_domain_samples=1))
    open_ = ReleaseConfig(every=10, gate=None)
    gated, free = (run(job(releases=releases)) for releases in (strict, open_))
    assert gated.served is not None
    assert free.served is not None
    assert free.served.refused == 0
    assert gated.served.refused > 0
    assert len(gated.served.versions) + gated.served.refused == len(free.served.versions) == free.steps // 10
    assert scores(gated)["served regret"] < scores(free)["served regret"]


def test_a_domain_may_end_before_a_candidate_is_made() -> None:
    result = run(job(schedule=Schedule(iterations=3), releases=ReleaseConfig(every=7)))
    assert result.served is not None
    assert [version.step for version in result.served.versions][:1] == [7]


def test_the_gate_must_not_judge_by_what_is_reported() -> None:
    with pytest.raises(ValueError, match="validation_share"):
        run(job(stream=DigitsConfig(domains=2), releases=ReleaseConfig()))


def test_searching_judges_validation_samples() -> None:
    assert run(job(evaluation=EvaluationConfig(on="validation"))).domains[0].test == round(0.1 * 1438)
    with pytest.raises(ValueError, match="validation_share"):
        run(job(stream=DigitsConfig(domains=2), evaluation=EvaluationConfig(on="validation")))


def test_a_network_without_the_right_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match="classes"):
        run(job(network={"kind": "segmenter"}))


def experiment() -> Experiment:
    return Experiment(
        streams=(DIGITS,), methods=(FINE_TUNING, method("replay")), seeds=(0, 1), schedule=Schedule(iterations=3)
    )


def test_what_was_run_is_not_run_again(tmp_path: Path) -> None:
    jobs = experiment().jobs()
    first = run_jobs(jobs, tmp_path, HERE)
    files = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert len(files) == 4
    assert run_jobs(jobs, tmp_path, HERE) == first
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == files


def test_a_half_written_result_does_not_count(tmp_path: Path) -> None:
    jobs = experiment().jobs()
    first = run_jobs(jobs, tmp_path, HERE)
    broken = tmp_path / f"{first[0].digest}.json"
    broken.write_text(broken.read_text()[:100])
    assert run_jobs(jobs, tmp_path, HERE)[0].matrix == first[0].matrix
    assert Result.model_validate_json(broken.read_text()).digest == first[0].digest


def test_other_settings_or_data_are_another_job() -> None:
    digests = {
        job().digest("data"),
        job().digest("other data"),
        job(seed=1).digest("data"),
        job(schedule=Schedule(batch_size=21)).digest("data"),
    }
    assert len(digests) == 4
    moved = job(stream=DIGITS.model_copy(update={"data": Path("elsewhere")}))
    assert moved.digest("data") == job().digest("data")


def test_the_report_is_one_page_that_asks_for_nothing(tmp_path: Path) -> None:
    wanted = experiment().model_copy(update={"evaluation": EvaluationConfig(every=1, samples=20)})
    results = run_jobs(wanted.jobs(), tmp_path / "results", HERE)
    html, data = write_report(results, tmp_path, title="A <title>", notes=["Said & done."])
    page = html.read_text()
    assert "A &lt;title&gt;" in page
    assert "Said &amp; done." in page
    assert page.count("<svg") >= 4  # two matrices, two gaps
    assert "±" in page
    assert not any(word in page for word in ("src=", "href=", "url(", "@import", "<script"))
    (stream,) = json.loads(data.read_text())["streams"]
    assert [m["name"] for m in stream["methods"]] == ["fine-tuning", "replay"]
    mean = sum(scores(r)["average"] for r in results if r.job.method.name == "replay") / 2
    assert stream["methods"][1]["scores"]["average"]["mean"] == pytest.approx(mean)
