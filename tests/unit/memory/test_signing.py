import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from memory.key_files import (
    KeyFileError,
    ensure_key_pair,
    make_key_pair,
    read_public_key,
    read_signer,
    signer_of,
    verifier_of,
)
from memory.registry import ModelRegistry, RegistryError
from memory.signing import (
    BadSignatureError,
    Signer,
    UnknownKeyError,
    UnsignedError,
    Verifier,
    canonical,
    key_id,
)
from schemas.events import ModelReleased, ModelVersion, ReleaseKind
from schemas.settings import RegistrySettings
from tests.unit.memory.test_registry import NOON, publish

OURS, THEIRS = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2))
TRUSTED = Verifier([OURS.public_key])


def registry_at(folder: Path, signer: Signer | None = OURS, verifier: Verifier | None = TRUSTED) -> ModelRegistry:
    return ModelRegistry(str(folder), "weld", clock=lambda: NOON, signer=signer, verifier=verifier)


@pytest.fixture
def released(tmp_path: Path) -> ModelReleased:
    registry = registry_at(tmp_path / "registry")
    publish(registry)
    return registry.promote(1, ReleaseKind.RELEASE, "better")


def test_a_signed_announcement_is_taken(released: ModelReleased) -> None:
    TRUSTED.check(released)
    TRUSTED.check(released.version)
    TRUSTED.check(ModelReleased.model_validate_json(released.model_dump_json()))
    TRUSTED.check(ModelReleased.model_validate(json.loads(released.model_dump_json(indent=2))))


def test_what_is_unsigned_or_signed_by_another_is_refused(released: ModelReleased) -> None:
    with pytest.raises(UnsignedError, match="announcement 1 of weld v1 is not signed"):
        TRUSTED.check(released.model_copy(update={"signature": None}))
    with pytest.raises(UnknownKeyError, match=THEIRS.key_id):
        TRUSTED.check(THEIRS.sign(released))
    with pytest.raises(UnknownKeyError):
        Verifier([]).check(released)


def test_another_key_under_our_name_is_refused(released: ModelReleased) -> None:
    theirs = THEIRS.sign(released).signature
    assert theirs is not None
    with pytest.raises(BadSignatureError):
        TRUSTED.check(released.model_copy(update={"signature": theirs.model_copy(update={"key_id": OURS.key_id})}))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in leaves(v, (*path, k))]
    if isinstance(value, list):
        return [leaf for k, v in enumerate(value) for leaf in leaves(v, (*path, k))]
    return [path]


def altered(value: Any, key: Any) -> Any:
    """Return another value that the field may have."""
    if key == "kind":
        return "rollback" if value == "release" else "release"
    if isinstance(value, str) and len(value) in {16, 64, 128}:
        return ("0" if value[0] != "0" else "1") + value[1:]
    if isinstance(value, str) and value.endswith("Z"):
        return value.replace("2026", "2027")
    if isinstance(value, str):
        return value + "x"
    if key == "code":
        return value + 9999  # not the next class's
    return 7 if value is None else value + 1


def test_any_field_that_is_changed_is_noticed(released: ModelReleased) -> None:
    paths = [path for path in leaves(released.model_dump(mode="json")) if path[0] != "signature"]
    # The gate is absent here; whoever adds one changes a value as well.
    paths = [path for path in paths if path != ("version", "gate")]
    assert len(paths) > 25
    for path in paths:
        fields = released.model_dump(mode="json")
        place = fields
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = altered(place[path[-1]], path[-1])
        with pytest.raises(BadSignatureError):
            TRUSTED.check(ModelReleased.model_validate_json(json.dumps(fields)))


def test_a_version_counts_as_no_announcement(released: ModelReleased) -> None:
    as_version = released.version.signature
    with pytest.raises(BadSignatureError):
        TRUSTED.check(released.model_copy(update={"signature": as_version}))


@given(
    metrics=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    reason=st.text(max_size=20),
    at=st.datetimes(timezones=st.timezones()),
    offsets=st.dictionaries(st.integers(0, 9), st.integers(0, 2**40), max_size=3),
)
def test_the_way_through_json_changes_no_byte_of_what_is_signed(
    metrics: dict[str, float], reason: str, at: datetime, offsets: dict[int, int]
) -> None:
    version = ModelVersion.model_validate(
        json.loads(VERSION) | {"metrics": metrics, "labels_until": offsets, "created_at": at}
    )
    release = ModelReleased(version=version, kind=ReleaseKind.RELEASE, sequence=3, announced_at=at, reason=reason)
    again = ModelReleased.model_validate_json(OURS.sign(release).model_dump_json())
    assert canonical(again) == canonical(release)
    TRUSTED.check(again)


VERSION = json.dumps(
    {
        "model": {"name": "weld", "version": 1, "digest": "1" * 64},
        "parent": None,
        "graph": {"sha256": "2" * 64, "size_bytes": 1},
        "weights": {"sha256": "1" * 64, "size_bytes": 1},
        "architecture": "Unet",
        "classes": {"classes": [{"code": 100, "name": "crack"}]},
        "preprocessing": "1",
        "size_multiple": 32,
        "labels_learned": 0,
        "metrics": {},
        "gate": None,
        "created_at": "2026-01-01T12:00:00Z",
    }
)


def test_what_was_signed_once_stays_verifiable() -> None:
    """The signed bytes must not drift unseen: after a new field, what was signed before needs ``models sign``."""
    release = ModelReleased(
        version=ModelVersion.model_validate_json(VERSION),
        kind=ReleaseKind.RELEASE,
        sequence=1,
        announced_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    )
    assert canonical(release) == (
        b"weldstream signature 1: ModelReleased\n"
        b'{"announced_at":"2026-01-01T12:00:00Z","epoch":0,"kind":"release","reason":"","sequence":1,"version":{'
        b'"architecture":"Unet","classes":{"classes":[{"code":100,"name":"crack"}]},"created_at":"2026-01-01T12:00:00Z"'
        b',"gate":null,"graph":{"sha256":"' + b"2" * 64 + b'","size_bytes":1},"labels_learned":0,"labels_until":{},'
        b'"metrics":{},"model":{"digest":"' + b"1" * 64 + b'","name":"weld","version":1},"parent":null,'
        b'"preprocessing":"1","signature":null,"size_multiple":32,"weights":{"sha256":"'
        + b"1" * 64
        + b'","size_bytes":1},"without_inspectors":[]}}'
    )


def entry(folder: Path, kind: str, number: int) -> Path:
    return folder / "models" / "weld" / kind / f"{number:08d}.json"


def test_a_registry_takes_only_what_is_signed(tmp_path: Path) -> None:
    outsider = registry_at(tmp_path, signer=THEIRS, verifier=None)
    publish(outsider)
    outsider.promote(1, ReleaseKind.RELEASE)
    registry = registry_at(tmp_path)
    for read in (lambda: registry.get(1), registry.list, registry.serving, registry.releases):
        with pytest.raises(UnknownKeyError):
            read()
    with pytest.raises(UnknownKeyError):
        registry.promote(1, ReleaseKind.RELEASE)  # our key vouches for nothing that it has not verified
    with pytest.raises(UnknownKeyError):
        registry.roll_back("no reason")


def test_an_altered_version_is_refused(tmp_path: Path) -> None:
    registry = registry_at(tmp_path)
    publish(registry)
    path = entry(tmp_path, "versions", 1)
    path.write_text(path.read_text().replace("ab" * 32, "cd" * 32))
    with pytest.raises(BadSignatureError, match="weld v1 is not what key"):
        registry.get(1)


def test_entries_that_changed_places_are_refused(tmp_path: Path) -> None:
    registry = registry_at(tmp_path)
    for _ in range(2):
        registry.promote(publish(registry).model.version, ReleaseKind.RELEASE)
    entry(tmp_path, "versions", 2).write_bytes(entry(tmp_path, "versions", 1).read_bytes())
    with pytest.raises(RegistryError, match="v1 of 'weld' lies where v2 should"):
        registry.get(2)
    # An old announcement, rightly signed, under the newest number.
    entry(tmp_path, "releases", 9).write_bytes(entry(tmp_path, "releases", 1).read_bytes())
    with pytest.raises(RegistryError, match="announcement 1 of 'weld' lies where number 9 should"):
        registry.serving()


def test_an_operator_vouches_for_a_version_of_another_key(tmp_path: Path) -> None:
    outsider = registry_at(tmp_path, signer=THEIRS, verifier=None)
    theirs = publish(outsider)
    with pytest.raises(RegistryError, match="no key"):
        registry_at(tmp_path, signer=None).vouch(1)
    ours = registry_at(tmp_path).vouch(1)
    assert ours == registry_at(tmp_path).get(1)
    assert ours.model_copy(update={"signature": None}) == theirs.model_copy(update={"signature": None})
    TRUSTED.check(registry_at(tmp_path).promote(1, ReleaseKind.RELEASE))


def test_a_damaged_entry_is_an_error_of_ours(tmp_path: Path) -> None:
    registry = registry_at(tmp_path)
    publish(registry)
    entry(tmp_path, "versions", 1).write_bytes(b'{"model": 1')
    entry(tmp_path, "versions", 1).with_name("junk.json").write_bytes(b"")
    with pytest.raises(RegistryError, match="damaged"):
        registry.get(1)


def test_keys_are_written_once_and_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        pair = make_key_pair(tmp_path / "keys")
    finally:
        os.umask(before)
    assert pair.private.stat().st_mode & 0o777 == 0o600
    assert pair.private.parent.stat().st_mode & 0o777 == 0o700
    assert pair.private.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert pair.public.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    signer = read_signer(pair.private)
    assert signer.key_id == pair.key_id == key_id(read_public_key(pair.public))
    with pytest.raises(KeyFileError, match="not overwritten"):
        make_key_pair(tmp_path / "keys")
    assert ensure_key_pair(tmp_path / "keys") == pair
    pair.public.unlink()
    assert ensure_key_pair(tmp_path / "keys") == pair
    assert key_id(read_public_key(pair.public)) == pair.key_id


def test_a_pair_that_is_none_is_refused(tmp_path: Path) -> None:
    pair, other = make_key_pair(tmp_path / "a"), make_key_pair(tmp_path / "b")
    pair.public.write_bytes(other.public.read_bytes())
    with pytest.raises(KeyFileError, match="is not the public key of"):
        ensure_key_pair(tmp_path / "a")
    other.private.unlink()
    with pytest.raises(KeyFileError, match=r"release\.pub is there already"):
        ensure_key_pair(tmp_path / "b")


@pytest.mark.parametrize("what", ["missing", "rubbish", "rsa", "public", "open"])
def test_a_private_key_that_cannot_be_used_is_named(tmp_path: Path, what: str) -> None:
    pair = make_key_pair(tmp_path / "keys")
    if what == "missing":
        pair.private.unlink()
    elif what == "rubbish":
        pair.private.write_bytes(b"rubbish")
    elif what == "rsa":
        key = generate_private_key(65537, 2048)
        pair.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    elif what == "public":
        pair.private.write_bytes(pair.public.read_bytes())
    else:
        pair.private.chmod(0o644)
    with pytest.raises(KeyFileError, match=r"release\.key"):
        read_signer(pair.private)


def test_signatures_are_required_unless_switched_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyFileError, match="WELDSTREAM_REGISTRY__TRUSTED_KEYS"):
        verifier_of(RegistrySettings())
    with pytest.raises(KeyFileError, match="WELDSTREAM_REGISTRY__SIGNING_KEY"):
        signer_of(RegistrySettings())
    assert caplog.messages == []
    off = RegistrySettings(signatures="off")
    assert (signer_of(off), verifier_of(off)) == (None, None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "signatures are switched off" in caplog.text


def test_keys_rotate(tmp_path: Path, released: ModelReleased) -> None:
    old, new = make_key_pair(tmp_path / "old"), make_key_pair(tmp_path / "new")
    signed = [read_signer(pair.private).sign(released) for pair in (old, new)]
    both = verifier_of(RegistrySettings(trusted_keys=(old.public, new.public)))
    own = verifier_of(RegistrySettings(signing_key=new.private, trusted_keys=(old.public,)))
    after = verifier_of(RegistrySettings(trusted_keys=(new.public,)))
    assert both is not None
    assert own is not None
    assert after is not None
    for verifier in (both, own):
        for release in signed:
            verifier.check(release)
    after.check(signed[1])
    with pytest.raises(UnknownKeyError):
        after.check(signed[0])
