"""Changes of valid bytes: few at a time, so that most of what a decoder checks first still holds."""

from collections.abc import Sequence

from hypothesis import strategies as st

INTERESTING = [
    b"",
    b"\0",
    b"\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\0\0\0",
    b"\0\0\1\0",
    b"\xff" * 8,
    b"NaN",
    b"1e999",
    b'"',
    b"[",
    b"{",
    b"\xf0\x9f",
]


@st.composite
def mutated(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """A valid input after one to four changes; sometimes bytes of no meaning at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(list(valid))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        until = draw(st.integers(at, min(len(data), at + 16)))
        kind = draw(st.sampled_from(["flip", "set", "put", "cut", "end", "repeat", "splice"]))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            new = draw(st.sampled_from(INTERESTING))
            data[at : at + len(new)] = new
        elif kind == "put":
            data[at:at] = draw(st.sampled_from(INTERESTING) | st.binary(max_size=8))
        elif kind == "cut":
            del data[at:until]
        elif kind == "end":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at:until] * draw(st.integers(1, 64))
        elif kind == "splice":
            other = draw(st.sampled_from(list(valid)))
            data[at:] = other[min(at, len(other)) :]
    return bytes(data)
