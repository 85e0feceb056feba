"""Key pairs on disk, and which of them the settings name."""

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from memory.signing import Signer, Verifier, key_id
from schemas.errors import WeldstreamError
from schemas.settings import RegistrySettings

_log = logging.getLogger(__name__)

PRIVATE_NAME, PUBLIC_NAME = "release.key", "release.pub"


class KeyFileError(WeldstreamError):
    """A key is missing, unreadable, of another kind, or open to others."""

    reason: ClassVar[str] = "key_file"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The two files of a key pair.

    Attributes
    ----------
    private, public : Path
        PEM files: PKCS 8, of mode 0600, and SubjectPublicKeyInfo.
    key_id : str
        Name of the key.
    """

    private: Path
    public: Path
    key_id: str


def make_key_pair(private_folder: Path, public_folder: Path | None = None) -> KeyPair:
    """Make a key pair, ``release.key`` and ``release.pub``; nothing is ever overwritten.

    Parameters
    ----------
    private_folder : Path
        Where the private key goes; made with mode 0700 if it is missing.
    public_folder : Path, optional
        Where the public key goes; by default the same folder.

    Raises
    ------
    KeyFileError
        If either file is there already.
    """
    private, public = private_folder / PRIVATE_NAME, (public_folder or private_folder) / PUBLIC_NAME
    for path in (private, public):
        if path.exists():
            raise KeyFileError(f"{path} is there already, and keys are not overwritten")
    key = Ed25519PrivateKey.generate()
    private_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return KeyPair(private, _write_public(public, key.public_key()), key_id(key.public_key()))


def ensure_key_pair(private_folder: Path, public_folder: Path | None = None) -> KeyPair:
    """Return the key pair of the folders, making it if there is none; a lost public key is written anew.

    Raises
    ------
    KeyFileError
        If a public key lies there without its private one, or one of another key.
    """
    private, public = private_folder / PRIVATE_NAME, (public_folder or private_folder) / PUBLIC_NAME
    if not private.exists():
        return make_key_pair(private_folder, public_folder)
    key = read_signer(private).public_key
    if not public.exists():
        _write_public(public, key)
    elif key_id(read_public_key(public)) != key_id(key):
        raise KeyFileError(f"{public} is not the public key of {private}")
    return KeyPair(private, public, key_id(key))


def read_signer(path: Path) -> Signer:
    """Read a private key.

    Raises
    ------
    KeyFileError
        If there is none, it is no unencrypted Ed25519 key in PEM, or every user of the machine may read it.
    """
    data = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o007:
        raise KeyFileError(f"{path} is open to every user of this machine; run: chmod 600 {path}")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is no private key in PEM without a password: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is no Ed25519 key")
    return Signer(key)


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises
    ------
    KeyFileError
        If there is none, or it is no Ed25519 key in PEM.
    """
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is no public key in PEM: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} is no Ed25519 key")
    return key


def signer_of(settings: RegistrySettings) -> Signer | None:
    """Return who signs what this process publishes; None only where signatures are switched off and no key is named.

    Raises
    ------
    KeyFileError
        If the key is missing or cannot be used.
    """
    if settings.signing_key is not None:
        return read_signer(settings.signing_key)
    if settings.signatures == "off":
        return None
    raise KeyFileError(
        "what is published must be signed: name a private key in WELDSTREAM_REGISTRY__SIGNING_KEY "
        "(weldstream keys new FOLDER makes one)"
    )


def verifier_of(settings: RegistrySettings) -> Verifier | None:
    """Return who verifies what this process reads; None, with a warning, only where signatures are switched off.

    Who signs trusts its own key beside those that are named.

    Raises
    ------
    KeyFileError
        If no key is named, or one cannot be read.
    """
    if settings.signatures == "off":
        _log.warning("signatures are switched off: whoever can write to the releases topic decides what judges welds")
        return None
    keys = [read_public_key(path) for path in settings.trusted_keys]
    if settings.signing_key is not None:
        keys.append(read_signer(settings.signing_key).public_key)
    if not keys:
        raise KeyFileError(
            "releases must be signed, and no key is trusted: name public keys in WELDSTREAM_REGISTRY__TRUSTED_KEYS "
            "(weldstream keys new FOLDER makes a pair), or set WELDSTREAM_REGISTRY__SIGNATURES=off"
        )
    return Verifier(keys)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _write_public(path: Path, key: Ed25519PublicKey) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return path
