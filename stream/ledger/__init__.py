"""The judgement ledger: what was said of each frame, by whom, and that nobody changed it since."""

from stream.ledger.chain import Entry, Finding, check_pass, passes
from stream.ledger.reading import read_entries

__all__ = ["Entry", "Finding", "check_pass", "passes", "read_entries"]
