"""``weldstream up``: the stack on one machine, until it is stopped; its data stays."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stream.local import LocalStack, ProcessFailedError, StackPorts, exit_on_signals
from stream.topics import ensure_topics

WATCH_SECONDS = 1.0


def up_command(
    data_dir: Annotated[Path, typer.Option(help="Where Kafka, Redis and the models are kept.")] = Path(
        ".weldstream/up"
    ),
    kafka_port: Annotated[int | None, typer.Option(help="Port of Kafka; default: a free one.")] = None,
    redis_port: Annotated[int | None, typer.Option(help="Port of Redis; default: a free one.")] = None,
    inference_port: Annotated[int | None, typer.Option(help="Port of inference's health and metrics.")] = None,
    learner_port: Annotated[int | None, typer.Option(help="Port of the learner's health and metrics.")] = None,
) -> None:
    """Start Kafka, Redis, inference, the learner and the recaller and run until Ctrl-C or SIGTERM."""
    console = Console()
    with exit_on_signals(), LocalStack(data_dir, StackPorts(kafka=kafka_port, redis=redis_port)) as stack:
        asyncio.run(ensure_topics(stack.kafka_settings))
        inference = stack.start_service("inference", "inference.app", port=inference_port)
        folder = {"WELDSTREAM_CHECKPOINT__FOLDER": str(stack.folder / "learner")}
        learner = stack.start_service("learner", "learner.app", folder, port=learner_port)
        stack.start_service("recaller", "inference.recaller")
        for name, value in stack.environment.items():
            console.print(f"{name}={value}", highlight=False, soft_wrap=True)
        console.print(f"inference: {inference.url}   learner: {learner.url}   logs: {stack.folder / 'logs'}")
        model = "it serves" if inference.is_ready() else "it waits for the first model, and that for labels"
        console.print(f"up; {model}. Ctrl-C stops everything, the data stays.")
        _watch(stack)


def _watch(stack: LocalStack) -> None:
    try:
        while True:
            for process in (stack.kafka, stack.redis, *stack.services.values()):
                if not process.is_running:
                    raise ProcessFailedError(
                        f"{process.name} ended with status {process.returncode}: {process.log_tail()}"
                    )
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return
