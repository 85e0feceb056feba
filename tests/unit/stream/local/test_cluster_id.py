import uuid

from stream.local.kafka import new_cluster_id


def test_an_id_that_looks_like_an_option_is_drawn_again() -> None:
    drawn = iter([uuid.UUID(int=0b111110 << 122), uuid.UUID(int=1)])
    assert new_cluster_id(lambda: next(drawn)) == "AAAAAAAAAAAAAAAAAAAAAQ"
