"""What faults cost where Python's own books do not show it: in a child whose address space is limited."""

import subprocess
import sys

import pytest

ROOM_MIB = 384
CHILD = """
import resource
from dataclasses import replace
from pathlib import Path
from schemas.errors import BadRecordError
from schemas.topics import LABELS
from stream.codec import FrameLimits, decode_label
from stream.codec.events import MOST_VALUES
from tests.fuzz import seeds
from tests.unit.stream.samples import arrived

record = arrived(seeds.event(LABELS))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {room}, used + {room}))
field, item = {field!r}, {item!r}
count = MOST_VALUES - 200
value = record.value.replace(field, field + b",".join([item] * count) + b",", 1)
try:
    decode_label(replace(record, value=value), FrameLimits(), seeds.CLASSES)
except BadRecordError as error:
    print(type(error).__name__, len(str(error)) < 500)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("field", "item"), [(b'"classes":[', b'"x"'), (b'"reasons":[', b"1"), (b'"indications":[', b"1")]
)
def test_as_many_faults_as_values(field: bytes, item: bytes) -> None:
    code = CHILD.format(room=ROOM_MIB << 20, field=field, item=item)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["BadPayloadError", "True"], done.stderr[-2000:]
