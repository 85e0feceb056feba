import pytest

from inference.welds import WeldBook


def test_a_weld_in_progress_stays_on_the_version_it_began_with() -> None:
    book = WeldBook((), 0.0)
    assert book.enter("a", "a-0", 1, 0.0).model_version == 1
    assert book.enter("a", "a-1", 2, 1.0).model_version == 1
    assert book.enter("b", "b-0", 2, 1.0).model_version == 2
    assert book.versions() == {1, 2}
    assert book.judged_by(1) == ["a"]


def test_a_weld_without_frames_ends_and_begins_anew() -> None:
    book = WeldBook((), 0.0)
    book.enter("a", "a-0", 1, 0.0)
    book.enter("b", "b-0", 1, 5.0)
    book.close_idle(before=5.0)
    assert len(book) == 1
    again = book.enter("a", "a-9", 2, 9.0)
    assert (again.pass_id, again.model_version, again.judged) == ("a-9", 2, 0)


def test_only_welds_that_have_not_begun_again_are_ended() -> None:
    book = WeldBook((), 0.0)
    for weld in ("a", "b"):
        book.enter(weld, f"{weld}-0", 1, 0.0)
    book.close_idle(before=1.0)
    book.enter("a", "a-1", 2, 2.0)
    assert book.take_closed() == ["b"]
    assert book.take_closed() == []


def test_another_process_goes_on_where_the_weld_stands() -> None:
    first = WeldBook((), 0.0)
    weld = first.enter("a", "a-0", 3, 0.0)
    weld.add("0" * 64)
    successor = WeldBook([weld.state()], 100.0)
    successor.close_idle(before=100.0)
    weld = successor.enter("a", "a-1", 4, 101.0)
    assert (weld.model_version, weld.judged, weld.head) == (3, 1, "0" * 64)
    assert weld.link().previous == "0" * 64


def test_a_weld_that_is_not_in_progress_has_no_entry() -> None:
    with pytest.raises(KeyError):
        _ = WeldBook((), 0.0)["a"]
