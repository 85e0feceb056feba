"""The judgement ledger: what was said of each frame, by whom, and that nobody changed it since."""

from stream.ledger.chain import Entry, Finding, Mark, check_end, check_pass, passes
from stream.ledger.reading import Passes, iterate_entries, read_entries, read_marks, read_passes, read_states

__all__ = [
    "Entry",
    "Finding",
    "Mark",
    "Passes",
    "check_end",
    "check_pass",
    "iterate_entries",
    "passes",
    "read_entries",
    "read_marks",
    "read_passes",
    "read_states",
]
