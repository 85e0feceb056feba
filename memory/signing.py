"""Ed25519 signatures over versions and announcements: who made one, and that nothing of it was changed since.

What is signed is the entry without its own signature, as JSON with sorted keys
and without spaces, behind a line that names the format and the kind of entry:
a signature of one kind never counts for another.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import ClassVar, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import WeldstreamError
from schemas.events import ModelReleased, ModelVersion
from schemas.signatures import Signature

T = TypeVar("T", ModelVersion, ModelReleased)

FORMAT = "weldstream signature 1"
KEY_ID_DIGITS = 16


class UntrustedError(WeldstreamError):
    """An entry of the registry, or an announcement, is vouched for by nobody whom we trust."""

    reason: ClassVar[str] = "untrusted"


class UnsignedError(UntrustedError):
    """It has no signature."""

    reason: ClassVar[str] = "unsigned"


class UnknownKeyError(UntrustedError):
    """It is signed by a key that is not among the trusted ones."""

    reason: ClassVar[str] = "unknown_key"


class BadSignatureError(UntrustedError):
    """It is not what was signed."""

    reason: ClassVar[str] = "bad_signature"


def key_id(key: Ed25519PublicKey) -> str:
    """Return the name of a key: 16 hexadecimal digits of the sha256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_DIGITS]


def canonical(entry: ModelVersion | ModelReleased) -> bytes:
    """Return the bytes that a signature of an entry is over; the same before and after a way through JSON."""
    fields = entry.model_dump(mode="json", exclude={"signature"})
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return f"{FORMAT}: {type(entry).__name__}\n{text}".encode()


def describe(entry: ModelVersion | ModelReleased) -> str:
    """Return what an entry is called in messages."""
    if isinstance(entry, ModelReleased):
        return f"announcement {entry.sequence} of {describe(entry.version)}"
    return f"{entry.model.name} v{entry.model.version}"


class Signer:
    """Vouches for entries with one private key.

    Parameters
    ----------
    key : Ed25519PrivateKey
        The key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that its signatures are verified with."""
        return self._key.public_key()

    def sign(self, entry: T) -> T:
        """Return the entry with our signature, in place of any that it has."""
        value = self._key.sign(canonical(entry)).hex()
        return entry.model_copy(update={"signature": Signature(key_id=self.key_id, value=value)})


class Verifier:
    """Tells what a trusted key has signed from everything else.

    Parameters
    ----------
    keys : iterable of Ed25519PublicKey
        Those that are trusted; several while keys rotate.
    """

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {key_id(key): key for key in keys}

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the trusted keys."""
        return tuple(self._keys)

    def check(self, entry: ModelVersion | ModelReleased) -> None:
        """Return if a trusted key has signed exactly this.

        Raises
        ------
        UnsignedError, UnknownKeyError, BadSignatureError
            If not.
        """
        signature = entry.signature
        if signature is None:
            raise UnsignedError(f"{describe(entry)} is not signed")
        key = self._keys.get(signature.key_id)
        if key is None:
            raise UnknownKeyError(f"{describe(entry)} is signed by key {signature.key_id}, which is not trusted")
        try:
            key.verify(bytes.fromhex(signature.value), canonical(entry))
        except InvalidSignature:
            raise BadSignatureError(f"{describe(entry)} is not what key {signature.key_id} has signed") from None
