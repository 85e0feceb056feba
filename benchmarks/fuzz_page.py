"""``docs/fuzzing.md``, made of the results that ``make fuzz`` wrote."""

from pathlib import Path

from benchmarks.figures import markdown_table, read_results

_INTRODUCTION = """# Fuzzing

Everything that reads bytes from outside either gives a valid value, which can be written and read again unchanged, or
refuses them with an error of `schemas/errors.py`: no other exception, no warning, no crash, within ten seconds and one
GiB for inputs of four KiB. Made of `benchmarks/results/fuzz.json`, which `make fuzz` writes.

Inputs come from two sides: atheris changes valid encodings and keeps what reaches new code; hypothesis builds inputs
whose structure and checksums are right and whose content is not. Models are loaded in a process of their own, so that
a crash of the runtime counts. The limits, at each and one beyond, and inputs that would expand are in
`tests/fuzz/test_limits.py`.

"""

_NOT_COVERED = """
## Not covered

- A header whose *name* is no UTF-8 never reaches the codec: aiokafka raises while it unpacks what it fetched, and does
  not get past the record. Whoever may write to a topic can do that.
- A graph that asks for much memory takes it. A graph that does not end is ended after a minute
  (`inference/session.py`); what is loaded comes from the registry by its digest.
- Python's and numpy's memory is bounded by tests, as is that of refused JSON; a decoder's own memory is bounded by the
  size that was checked before it is called.
"""


def page(results: Path) -> str:
    """Return the page that shows what was tried."""
    return _INTRODUCTION + markdown_table(read_results(results / "fuzz.json")) + _NOT_COVERED
