"""``python -m stream.local.prepare``: fetch now what the local stack would fetch at its first start."""

import sys

from schemas.errors import PrerequisiteError
from stream.local.jars import cache_folder, kafka_jars
from stream.local.prerequisites import find_java, find_redis


def main() -> int:
    """Check what must be installed and fetch Kafka; return the exit status."""
    try:
        find_java()
        find_redis()
        kafka_jars()
    except PrerequisiteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"cannot write to {cache_folder()}: {error.strerror}: set WELDSTREAM_CACHE_DIR\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
