"""What a service logs, and how much of it."""

import logging

_QUIET = ("aiokafka", "kafka", "faststream", "uvicorn.access")


def configure_logging(level: str) -> None:
    """Log to standard error from ``level`` on.

    Parameters
    ----------
    level : str
        A name of `logging`. Libraries that repeat what we say ourselves keep
        to errors, unless it is ``DEBUG``.
    """
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.ERROR)
