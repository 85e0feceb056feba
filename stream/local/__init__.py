"""A real Kafka, a real Redis and the services on them as child processes on loopback: nothing to install by hand."""

from stream.local.lock import FolderInUseError
from stream.local.process import ManagedProcess, ProcessFailedError
from stream.local.service import ServiceProcess
from stream.local.signals import exit_on_signals
from stream.local.stack import LocalStack, StackPorts

__all__ = [
    "FolderInUseError",
    "LocalStack",
    "ManagedProcess",
    "ProcessFailedError",
    "ServiceProcess",
    "StackPorts",
    "exit_on_signals",
]
