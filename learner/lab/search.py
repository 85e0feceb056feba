"""Hyper-parameters, searched the same way for everybody: on validation samples of another seed's first domains."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from learner.lab.results import scores
from learner.lab.runner import run
from learner.lab.settings import Experiment, Job, LabStrategy, Method
from learner.lab.spreading import Workers, spread

OTHER_SEED = 10_000
"""Added to the seed of the runs that are reported: the search never sees their stream."""

SPACES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "gem": {"margin": (0.01, 2.0)},
    "der": {"alpha": (0.05, 2.0), "beta": (0.05, 2.0)},
    "ewc": {"weight": (0.1, 1e4)},
    "online_ewc": {"weight": (0.1, 1e4)},
    "si": {"weight": (1e-3, 1e2)},
    "lwf": {"weight": (0.05, 20.0)},
    "lfl": {"weight": (1e-4, 10.0)},
}
"""By kind of strategy what of it is searched, each on a logarithmic scale; the learning rate is searched for all."""

AVALANCHE_SPACES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "GEM": {"memory_strength": (0.01, 2.0)},
    "DER": {"alpha": (0.05, 2.0), "beta": (0.05, 2.0)},
    "EWC": {"ewc_lambda": (0.1, 1e4)},
    "SynapticIntelligence": {"si_lambda": (1e-3, 1e2)},
    "LwF": {"alpha": (0.05, 20.0)},
    "LFL": {"lambda_e": (1e-4, 10.0)},
}
"""The same for strategies of Avalanche, whose names for them differ: the same ranges."""

RATES = {"sgd": (1e-2, 0.5), "adam": (1e-4, 1e-2), "adamw": (1e-4, 1e-2)}
"""Learning rates that are tried, by kind of optimiser."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may cost, the same for each method.

    Attributes
    ----------
    trials : int
        Settings tried; the first are those that the method comes with.
    domains : int
        First domains of the stream that are learned.
    seed : int
        Of the stream that is searched on, and of the search.
    """

    trials: int = 12
    domains: int = 3
    seed: int = OTHER_SEED

    def __str__(self) -> str:
        """Return what a report says of it."""
        (slow, fast), (low, high) = RATES["sgd"], RATES["adam"]
        return (
            f"hyper-parameters: {self.trials} trials each by Optuna's TPE, on validation samples of the first "
            f"{self.domains} domains of seed {self.seed}: the learning rate, {slow:g} to {fast:g} of SGD and {low:g} "
            f"to {high:g} of Adam, and what is particular to the method"
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes
    ----------
    method : Method
        With the best settings.
    score : float
        Its average on the validation samples.
    trials : int
        Settings tried.
    """

    method: Method
    score: float
    trials: int


def search(job: Job, budget: Budget, on_trial: Callable[[float], object] = lambda _: None) -> Found:
    """Return the method of a job with the settings that do best on validation samples.

    Parameters
    ----------
    job : Job
        What is to be run later; its stream must have a number of domains and validation samples.
    budget : Budget
        What may be tried.
    on_trial : callable
        Called with each trial's score.

    Raises
    ------
    ValueError
        If the stream has neither.
    """
    import optuna

    fields = type(job.stream).model_fields
    if "domains" not in fields or "validation_share" not in fields:
        msg = f"the first domains of {job.stream.name!r} cannot be searched on"
        raise ValueError(msg)
    stream = job.stream.model_copy(update={"domains": budget.domains, "validation_share": 0.2})
    evaluation = job.evaluation.model_copy(update={"on": "validation", "every": None, "ahead": False})
    base = job.model_copy(update={"stream": stream, "evaluation": evaluation, "releases": None, "seed": budget.seed})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=budget.seed))
    study.enqueue_trial(_settings_of(job.method), skip_if_exists=True)

    def objective(trial: Any) -> float:
        chosen = {
            name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in space(job.method).items()
        }
        result = run(base.model_copy(update={"method": changed(job.method, chosen)}))
        value = 0.0 if result.diverged else scores(result)["average"]
        on_trial(value)
        return value

    study.optimize(objective, n_trials=budget.trials)
    return Found(changed(job.method, study.best_params), float(study.best_value), len(study.trials))


def searched(experiment: Experiment, budget: Budget, folder: Path, workers: Workers) -> Experiment:
    """Return an experiment of one stream whose methods have been searched; what was searched before is read.

    Parameters
    ----------
    experiment : Experiment
        Of one stream.
    budget : Budget
        What may be tried for each method.
    folder : Path
        Of what was found, by a digest of settings, data and budget.
    workers : Workers
        Methods are searched in parallel, the trials of one in turn.
    """
    (stream,) = experiment.streams
    inputs = stream.inputs()
    jobs = experiment.model_copy(update={"seeds": (0,)}).jobs()
    calls = [(_known, (job, inputs, budget, folder, workers.threads)) for job in jobs]
    found = {method.name: method for method in spread(calls, workers)}
    methods = tuple(found[method.name] for method in experiment.methods)
    return experiment.model_copy(update={"methods": methods})


def _known(job: Job, inputs: str, budget: Budget, folder: Path, threads: int) -> Method:
    import torch

    path = folder / f"{hashlib.sha256(f'{job.digest(inputs)} {budget}'.encode()).hexdigest()}.json"
    if path.exists():
        return Method.model_validate_json(path.read_text("utf-8"))
    torch.set_num_threads(threads)
    method = search(job, budget).method
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(method.model_dump_json(indent=1) + "\n", "utf-8")
    draft.replace(path)
    return method


def space(method: Method) -> dict[str, tuple[float, float]]:
    """Return what is searched of a method: the learning rate, and what is particular to its strategy."""
    strategy = method.strategy
    if strategy.kind == "avalanche":
        return {"learning_rate": RATES[method.optimizer.kind], **AVALANCHE_SPACES.get(strategy.strategy, {})}
    return {"learning_rate": RATES[method.optimizer.kind], **SPACES.get(strategy.kind, {})}


_STRATEGY: TypeAdapter[LabStrategy] = TypeAdapter(LabStrategy)


def changed(method: Method, chosen: Mapping[str, float]) -> Method:
    """Return a method with other hyper-parameters."""
    own = {name: value for name, value in chosen.items() if name != "learning_rate"}
    said = method.strategy.model_dump()
    if method.strategy.kind == "avalanche":
        said["options"] = {**said["options"], **own}
    else:
        said |= own
    optimizer = method.optimizer.model_copy(update={"learning_rate": chosen["learning_rate"]})
    return method.model_copy(update={"strategy": _STRATEGY.validate_python(said), "optimizer": optimizer})


def _settings_of(method: Method) -> dict[str, float]:
    said = method.strategy.model_dump()
    own = said.get("options", {}) if method.strategy.kind == "avalanche" else said
    known = {"learning_rate": method.optimizer.learning_rate, **own}
    return {
        name: min(max(float(known[name]), low), high) for name, (low, high) in space(method).items() if name in known
    }
