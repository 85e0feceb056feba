"""One root for every error of ours; each class carries how it must be handled."""

from typing import ClassVar


class WeldstreamError(Exception):
    """Root of all errors raised by weldstream.

    Attributes
    ----------
    retriable : bool
        Whether the same input may succeed later. A retriable error is retried
        with backoff; any other sends its record to the dead letters at once.
    reason : str
        Stable, machine-readable name of the cause, used as a metric label and
        as the reason of a dead letter.
    """

    retriable: ClassVar[bool] = False
    reason: ClassVar[str] = "internal_error"


class BadRecordError(WeldstreamError):
    """A record that can never be processed, whatever is tried."""

    reason: ClassVar[str] = "bad_record"


class MissingHeaderError(BadRecordError):
    """A mandatory CloudEvents header is absent."""

    reason: ClassVar[str] = "missing_header"


class MalformedHeaderError(BadRecordError):
    """A header is present but its value cannot be read."""

    reason: ClassVar[str] = "malformed_header"


class UnknownTypeError(BadRecordError):
    """The event type or its version is not one that this service reads."""

    reason: ClassVar[str] = "unknown_type"


class BadPayloadError(BadRecordError):
    """The payload is empty, truncated, or of another dtype or shape than announced."""

    reason: ClassVar[str] = "bad_payload"


class OversizeError(BadRecordError):
    """The image or message is larger than the configured limit."""

    reason: ClassVar[str] = "oversize"


class NonFiniteError(BadRecordError):
    """The pixels contain NaN or infinity."""

    reason: ClassVar[str] = "non_finite"


class BadMaskError(BadRecordError):
    """A label mask has another size than its frame, or a class nobody configured."""

    reason: ClassVar[str] = "bad_mask"


class UnknownFrameError(BadRecordError):
    """A label neither carries its frame's pixels nor points to any that exist."""

    reason: ClassVar[str] = "unknown_frame"


class DigestMismatchError(BadRecordError):
    """The bytes found are not the bytes announced: their sha256 differs."""

    reason: ClassVar[str] = "digest_mismatch"


class ArtifactNotFoundError(WeldstreamError):
    """No artifact is stored under this URI."""

    reason: ClassVar[str] = "artifact_not_found"


class ModelLoadError(WeldstreamError):
    """A released model cannot be loaded or does not pass its warm-up."""

    reason: ClassVar[str] = "model_load_failed"


class ServiceUnavailableError(WeldstreamError):
    """A service this one depends on does not answer now."""

    retriable: ClassVar[bool] = True
    reason: ClassVar[str] = "service_unavailable"


class PrerequisiteError(WeldstreamError):
    """Something the local stack needs is not installed; the message names the command that installs it."""

    reason: ClassVar[str] = "prerequisite_missing"


class AccessRefusedError(WeldstreamError):
    """A service refuses our user or password, or shows a certificate that is not trusted: a person must act."""

    reason: ClassVar[str] = "access_refused"
