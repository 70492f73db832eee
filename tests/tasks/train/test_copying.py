"""Miscopied values are told from computed, guessed and seen ones."""

import json

import pytest

from schemas.episode import Message, ToolCall
from tasks.train.copying import distance, first_slip, plain


def call(**arguments: object) -> Message:
    made = ToolCall(id="c", name="run", arguments=json.dumps(arguments))
    return Message(role="assistant", tool_calls=[made])


def result(content: str, error: bool = False) -> Message:
    return Message(role="tool", content=content, tool_call_id="c", name="run", error=error)


def say(content: str) -> Message:
    return Message(role="assistant", content=content)


def slip(*messages: Message, question: str = "how much?", offered: str = "") -> str | None:
    found = first_slip(messages, question, offered)
    return None if found is None else f"{found.wrote} for {found.seen}"


@pytest.mark.parametrize(
    ("wrote", "seen"),
    [("1198", "1178"), ("11789", "1178"), ("178", "1178"), ("1718", "1178"), ("120.9", "130.9"),
     ("1,243", "1234"), ("90", "96")],
)  # fmt: skip
def test_a_number_with_one_digit_changed_added_dropped_or_swapped_is_a_slip(
    wrote: str, seen: str
) -> None:
    assert slip(call(q="x"), result(seen), say(f"It is {wrote}.")) == f"{wrote} for {seen}"


def test_a_number_is_a_slip_in_a_call_too_and_the_newest_near_one_was_meant() -> None:
    messages = [call(q="a"), result("760"), call(q="b"), result("675"), call(e="760 - 670")]
    assert slip(*messages, result("90"), say("It is 90.")) == "670 for 675"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("The total is 1853.", "675 + 1178"),
        ("503 more.", "1178 - 675"),
        ("57.3 percent.", "100 * 675 / 1178 = 57.30"),
        ("1177 are left.", "1178 - 1"),
        ("It is 675.00.", "the same number"),
        ("It is 1,178.", "the same number"),
        ("About 99999.", "near nothing: invented, not miscopied"),
        ("It is 8.", "one digit is near any other"),
    ],
)
def test_what_is_computed_or_invented_is_no_slip(answer: str, why: str) -> None:
    messages = [call(q="a"), result("675"), call(q="b"), result("1178"), say(answer)]
    assert slip(*messages) is None, why


def test_among_many_numbers_a_near_one_means_nothing_unless_it_was_just_told() -> None:
    # Two digits: about 20 of 100 numbers are near a given one, so 60 are near one of three.
    many = result("19 in the north, 57 in the south, 33 in the west")
    assert slip(call(q="a"), many, say("It is 53.")) is None
    assert slip(call(q="a"), many, call(q="b"), result("93"), say("It is 53.")) == "53 for 93"


def test_numbers_that_queries_hold_from_nowhere_are_let_pass() -> None:
    messages = [call(q="a"), result("110"), call(e="100 * 110 / 997"), result("11"), say("11")]
    assert slip(*messages, question="of 997?") is None


@pytest.mark.parametrize(
    ("wrote", "is_slip"),
    [("2026-05-80", True), ("2062-05-08", True), ("2026-08-05", True), ("2026-05-07", False),
     ("2026-05-08", False), ("2019-01-31", False)],
)  # fmt: skip
def test_another_day_may_be_counted_but_mixed_up_digits_are_a_slip(
    wrote: str, is_slip: bool
) -> None:
    found = slip(call(q="today"), result("2026-05-08"), call(q=f"day > DATE '{wrote}'"))
    assert found == (f"{wrote} for 2026-05-08" if is_slip else None)


@pytest.mark.parametrize(
    ("wrote", "is_slip"),
    [("ocast", True), ("cost", True), ("coast", False), ("COAST", False), ("coasts", False),
     ("north", False), ("new yrok", True), ("New York", False)],
)  # fmt: skip
def test_a_quoted_literal_is_a_slip_of_the_questions_words(wrote: str, is_slip: bool) -> None:
    question = "sales in coast and in New York?"
    assert (slip(call(q=f"WHERE a = '{wrote}'"), question=question) is not None) == is_slip
    assert (slip(call(place=wrote), question=question) is not None) == is_slip


@pytest.mark.parametrize(
    ("wrote", "is_slip"),
    [("invoices_nwe", True), ("invoces_new", True), ("invoices_new", False), ("invoice_new", False),
     ("invoices_day", False), ("HAT101", True), ("HAT111", False), ("customer_total", False)],
)  # fmt: skip
def test_an_identifier_is_a_slip_but_another_form_or_the_next_of_its_kind_is_not(
    wrote: str, is_slip: bool
) -> None:
    told = result("invoices_new has the flight HAT110")
    assert (slip(call(q="x"), told, call(q=f"SELECT * FROM {wrote} x")) is not None) == is_slip


def test_a_name_that_a_query_gives_itself_is_no_slip() -> None:
    assert slip(call(q="x"), result("total_sales"), call(q="SELECT 1 AS total_sale")) is None


def test_a_plain_word_is_a_slip_only_where_the_calls_own_error_names_it() -> None:
    told = [call(q="x"), result("pieces orders")]
    query = call(q="SELECT peices FROM orders ORDER BY 1")
    assert slip(*told, query, result("41"), say("41")) is None
    assert slip(*told, query, result("Error: no column peices", error=True)) == "peices for pieces"


def test_what_the_tools_schemas_and_earlier_calls_name_was_seen() -> None:
    query = call(q="look up item_colour")
    assert slip(query, question="item_color?") == "item_colour for item_color"
    assert slip(query, question="item_color?", offered="item_colour: its colour") is None
    assert slip(call(q="1178"), result("none"), say("I asked for 1178.")) is None


def test_arguments_that_do_not_parse_are_read_as_one_text() -> None:
    broken = ToolCall(id="c", name="run", arguments='{"q": "take 11789"', malformed=True)
    messages = [call(q="x"), result("1178"), Message(role="assistant", tool_calls=[broken])]
    assert slip(*messages) == "11789 for 1178"


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [("", "", 0), ("tea", "tea", 0), ("tea", "ta", 1), ("tea", "tera", 1), ("tea", "tei", 1),
     ("1178", "1718", 1), ("abcd", "badc", 2), ("tea", "coffee", 3)],
)  # fmt: skip
def test_distance_counts_edits_and_swapped_neighbours(one: str, other: str, edits: int) -> None:
    assert distance(one, other) == distance(other, one) == edits


@pytest.mark.parametrize(
    ("written", "meant"), [("1,234.50", "1234.5"), ("007", "7"), ("0.0", "0"), ("13", "13")]
)
def test_a_number_is_written_in_one_way(written: str, meant: str) -> None:
    assert plain(written) == meant
