"""Runs many jobs in parallel; those that a folder already has are not run again."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from learner.lab.results import Result
from learner.lab.settings import Job
from learner.lab.spreading import Workers, spread


def run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    workers: Workers | None = None,
    *,
    board: Path | None = None,
    on_done: Callable[[Result], object] = lambda _: None,
) -> list[Result]:
    """Run jobs and write each result as it comes; return all results in the order of the jobs.

    Parameters
    ----------
    jobs : sequence of Job
        What to run; the same one twice is run once.
    folder : Path
        Of results, named by their digest. A job that was interrupted left none and is run again.
    workers : Workers, optional
        Where.
    board : Path or None
        Folder for TensorBoard.
    on_progress : callable or None
        Called about once a second with the share done of each job that runs here, by digest, 1 for those that ended.

    Raises
    ------
    ValueError
        If a job's parts do not go together.
    """
    workers = workers or Workers()
    inputs = {stream: stream.inputs() for stream in {job.stream for job in jobs}}
    named = {job.digest(inputs[job.stream]): job for job in jobs}
    found = {digest: result for digest in named if (result := read_result(folder, digest)) is not None}
    for result in found.values():
        on_done(result)
    waiting = [
        (_run, (job, inputs[job.stream], board, workers.threads))
        for digest, job in named.items()
        if digest not in found
    ]
    for result in spread(waiting, workers):
        # Written here and not there: workers of a cluster may have another disk.
        result.write(folder)
        found[result.digest] = result
        on_done(result)
    return [found[job.digest(inputs[job.stream])] for job in jobs]


def read_result(folder: Path, digest: str) -> Result | None:
    """Return the result of a digest, None where there is none that can be read."""
    try:
        return Result.model_validate_json((folder / f"{digest}.json").read_text())
    except (FileNotFoundError, ValidationError):
        return None


def _run(job: Job, inputs: str, board: Path | None, threads: int) -> Result:
    import torch

    from learner.lab.runner import run

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        if board is None:
            return run(job, inputs=inputs)
        from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

        place = board / f"{job.stream.name}, {job.method.name}, seed {job.seed}".replace("/", "-")
        with SummaryWriter(str(place)) as log:
            return run(job, inputs=inputs, log=log)
    finally:
        torch.set_num_threads(before)
