from inference.welds import WeldBook
from tests.unit.inference.tiny import NOW


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


def test_every_pass_that_ended_is_told_once_also_of_a_weld_that_has_begun_again() -> None:
    book = WeldBook((), 0.0)
    for weld in ("a", "b"):
        book.enter(weld, f"{weld}-0", 1, 0.0)
    book.close_idle(before=1.0)
    book.enter("a", "a-1", 2, 2.0)
    assert [weld.pass_id for weld in book.take_closed()] == ["a-0", "b-0"]
    assert book.take_closed() == []


def test_a_weld_with_frames_under_way_does_not_end() -> None:
    book = WeldBook((), 0.0)
    weld = book.enter("a", "a-0", 1, 0.0)
    weld.under_way = 1
    book.close_idle(before=9.0)
    assert len(book) == 1
    weld.under_way = 0
    book.close_idle(before=9.0)
    assert len(book) == 0


def test_the_end_of_a_pass_names_the_last_judgement_if_there_was_one() -> None:
    weld = WeldBook((), 0.0).enter("a", "a-0", 3, 0.0)
    assert weld.end(NOW) is None
    weld.add("0" * 64)
    weld.add("1" * 64)
    end = weld.end(NOW)
    assert end is not None
    assert (end.pass_id, end.model_version, end.judged, end.head) == ("a-0", 3, 2, "1" * 64)


def test_another_process_goes_on_where_the_weld_stands() -> None:
    first = WeldBook((), 0.0)
    weld = first.enter("a", "a-0", 3, 0.0)
    weld.add("0" * 64)
    successor = WeldBook([weld.state()], 100.0)
    successor.close_idle(before=100.0)
    weld = successor.enter("a", "a-1", 4, 101.0)
    assert (weld.model_version, weld.judged, weld.head) == (3, 1, "0" * 64)
    assert weld.link().previous == "0" * 64
