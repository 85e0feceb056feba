"""The key pair that a test's registry is signed and verified with."""

from pathlib import Path

from memory.key_files import ensure_key_pair, read_signer
from memory.signing import Signer
from schemas.settings import RegistrySettings


def signed_registry(folder: Path) -> RegistrySettings:
    """Return settings of a registry in a test's folder, with a key pair beside it."""
    pair = ensure_key_pair(folder / "keys")
    return RegistrySettings(uri=str(folder / "registry"), signing_key=pair.private, trusted_keys=(pair.public,))


def signer_for(registry: RegistrySettings) -> Signer:
    """Return who signs for a registry; where its settings name no key, a pair beside it is used, and made."""
    return read_signer(registry.signing_key or ensure_key_pair(Path(registry.uri).parent / "keys").private)
