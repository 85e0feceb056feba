from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.descriptors import Descriptor, choose_domains, domain_of, edition_of, share_path, similarity
from memory.stores.base import quotas
from schemas.frames import Frame, PixelSpacing, Probe, View

A = "pa-s-01_5l32-a31_5mhz_carbon-steel"
NAMES = st.text("ab01._+-", min_size=1, max_size=12)


def make_frame(gain_db: float = 46.2, domain: str = "") -> Frame:
    return Frame(
        frame_id="f",
        weld_id="w",
        position_mm=0.0,
        time=datetime(2024, 5, 1, tzinfo=UTC),
        spacing=PixelSpacing(row_mm=1.0, column_mm=1.0),
        view=View.S_SCAN,
        probe=Probe(model="5L32 A31", frequency_mhz=5.0, elements=32),
        procedure="PA-S-01",
        material="Carbon steel (S355)",
        gain_db=gain_db,
        domain=domain,
    )


def test_what_a_frame_derives_is_read_back() -> None:
    read = Descriptor.parse(edition_of(domain_of(make_frame(), 2.0), 3))
    assert read == Descriptor(
        "pa-s-01_5l32-a31_5mhz_carbon-steel-s355",
        {"procedure": "pa-s-01", "probe": "5l32-a31", "frequency": "5mhz", "material": "carbon-steel-s355"},
        46.0,
        3,
    )


@pytest.mark.parametrize(
    ("gain", "step", "suffix"), [(46.2, 2.0, "_46db"), (-0.4, 1.0, "_0db"), (-7.0, 2.0, "_-8db"), (46.2, 0.5, "_46db")]
)
def test_gains_that_round_alike_share_a_domain(gain: float, step: float, suffix: str) -> None:
    assert domain_of(make_frame(gain, "hall-3"), step) == f"hall-3{suffix}"
    assert domain_of(make_frame(gain, "hall-3"), None) == "hall-3"


@given(NAMES, st.integers(2, 99))
def test_any_name_is_read_and_its_edition_is_no_part_of_it(name: str, edition: int) -> None:
    first, later = Descriptor.parse(name), Descriptor.parse(edition_of(name, edition))
    assert (first.name, first.fields, first.gain_db) == (later.name, later.fields, later.gain_db)
    assert (first.edition, later.edition) == (1, edition)
    assert similarity(name, edition_of(name, edition)) == 1.0


@given(NAMES, NAMES)
def test_similarity_is_symmetric_and_a_share(a: str, b: str) -> None:
    assert similarity(a, b) == similarity(b, a)
    assert 0.0 <= similarity(a, b) <= 1.0


def test_similarity_follows_the_fields() -> None:
    order = [
        A,
        "pa-s-01_5l32-a31_5mhz_carbon-steel-heavy-wall",
        "pa-s-01_5l32-a31_2.25mhz_carbon-steel-heavy-wall",
        "pa-s-02_10l32_2.25mhz_austenitic",
    ]
    found = [similarity(A, other) for other in order]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1.0
    assert found[1] == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert similarity(f"{A}_40db", f"{A}_46db") == pytest.approx((4 + 0.5) / 5)
    assert similarity("hall-3", A) == 0.0


def test_the_most_similar_or_most_different_domains_are_chosen() -> None:
    past = ["p_other_1mhz_x", "pa-s-01_5l32-a31_5mhz_duplex", "p_other_1mhz_y", "pa-s-01_5l32-a31_4mhz_carbon-steel"]
    assert choose_domains(A, past, "all", 1) == past
    assert choose_domains(A, past, "similar", 2) == [past[1], past[3]]
    assert choose_domains(A, past, "different", 2) == [past[0], past[2]]
    # Of equals the newer.
    assert choose_domains(A, past, "different", 1) == [past[2]]
    assert choose_domains(A, past, "similar", 9) == past
    assert choose_domains(A, past, "similar", 0) == []


def test_shares_are_equal_at_each_level() -> None:
    domains = [f"{A}_{gain}db" for gain in (40, 42, 44)] + [
        "q_second_5mhz_carbon-steel",
        "q_second_5mhz_duplex",
        "hall",
    ]
    assert quotas({d: share_path(d, ()) for d in domains}, 60) == dict.fromkeys(domains, 10)
    by_probe = quotas({d: share_path(d, ("probe",)) for d in domains}, 60)
    assert list(by_probe.values()) == [6, 6, 6, 10, 10, 20]
    by_both = quotas({d: share_path(d, ("procedure", "material")) for d in domains}, 60)
    assert list(by_both.values()) == [6, 6, 6, 10, 10, 20]
    assert set(quotas({d: share_path(d, ("probe",)) for d in domains}, 2).values()) == {1}


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True), st.integers(8, 500))
def test_shares_never_add_up_to_more_than_there_is(domains: list[str], samples: int) -> None:
    for fields in ((), ("probe",), ("material", "probe")):
        shares = quotas({d: share_path(d, fields) for d in domains}, samples)
        beyond = sum(share for share in shares.values() if share > 1)
        assert beyond <= samples
