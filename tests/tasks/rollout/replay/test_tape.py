"""What logged episodes can answer: by the chain so far, and honestly nothing where they cannot."""

from schemas.episode import Message, ToolCall
from tasks.rollout.replay.tape import (
    START,
    Answered,
    Heard,
    Logged,
    Tape,
    call_key,
    events,
    longer,
    opening_of,
)


def acts(name: str, arguments: str, result: str) -> list[Message]:
    call = ToolCall(id="same", name=name, arguments=arguments)
    return [
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content=result, tool_call_id="same"),
    ]


def says(text: str) -> Message:
    return Message(role="assistant", content=text)


ASKED = [Message(role="system", content="Be kind."), Message(role="user", content="Book it.")]
BOOKED = Logged(
    "a",
    [
        *ASKED, says("Which one?"), Message(role="user", content="The first."),
        *acts("look", '{"at": "seat", "n": 1}', "free"), *acts("book", '{"seat": 1}', "done"),
        *acts("look", '{"n":1,"at":"seat"}', "taken"), says("Booked."),
        Message(role="user", content="###STOP###"),
    ],
    1.0,
)  # fmt: skip
REFUSED = Logged(
    "b", [*ASKED, *acts("look", '{"at": "seat", "n": 1}', "free"), says("Sorry.")], 0.0
)
AGAIN = Logged("c", [*ASKED, *acts("look", '{"at": "seat", "n": 1}', "free"), says("Done.")], 1.0)
LOOK, BOOK = call_key("look", '{"n": 1, "at": "seat"}'), call_key("book", '{"seat": 1}')


def test_the_opening_is_what_stands_before_the_agents_first_word() -> None:
    assert opening_of(BOOKED.messages) == ASKED
    assert opening_of([says("Hello.")]) == []


def test_events_are_calls_with_their_results_and_what_the_user_said() -> None:
    assert events(BOOKED.messages) == [
        Heard("The first."), Answered("look", '{"at": "seat", "n": 1}', "free"),
        Answered("book", '{"seat": 1}', "done"),
        Answered("look", '{"n":1,"at":"seat"}', "taken"), Heard(None),
    ]  # fmt: skip


def test_parallel_calls_get_their_results_by_position_whatever_their_ids() -> None:
    calls = [ToolCall(id="x", name="f", arguments=f'{{"n": {n}}}') for n in (1, 2, 3)]
    messages = [
        *ASKED, Message(role="assistant", tool_calls=calls),
        Message(role="tool", content="one", tool_call_id="x"),
        Message(role="tool", content="two", tool_call_id="x"),
    ]  # fmt: skip
    # The third call's result was never logged.
    assert events(messages) == [Answered("f", '{"n": 1}', "one"), Answered("f", '{"n": 2}', "two")]


def test_the_order_of_arguments_does_not_count_and_their_values_do() -> None:
    tape = Tape([BOOKED])
    assert tape.result(START, call_key("look", '{"n":1,"at":"seat"}')) == "free"
    assert tape.result(START, call_key("look", '{"n":2,"at":"seat"}')) is None


def test_a_call_that_was_logged_twice_answers_by_what_came_before_it() -> None:
    tape = Tape([BOOKED])
    looked = longer(START, LOOK, "free")
    booked = longer(looked, BOOK, "done")
    assert tape.result(START, LOOK) == "free"
    assert tape.result(booked, LOOK) == "taken"


def test_off_the_logged_ways_the_most_frequent_result_answers() -> None:
    # "free" was logged three times, "taken" once; nobody looked after booking first.
    tape = Tape([BOOKED, REFUSED, AGAIN])
    assert tape.result(longer(START, BOOK, "done"), LOOK) == "free"


def test_the_user_says_what_was_said_at_this_point_and_nothing_after_the_end() -> None:
    tape = Tape([BOOKED])
    assert tape.reply(START, 0) == "The first."
    assert tape.reply(START, 1) is None
    looked = longer(START, LOOK, "free")
    end = longer(longer(looked, BOOK, "done"), LOOK, "taken")
    # The user's last word was not answered in the log: the episode ended before it.
    assert tape.reply(end, 0) is None


def test_the_outcome_is_the_mean_of_those_that_did_exactly_the_same() -> None:
    tape = Tape([BOOKED, REFUSED, AGAIN])
    looked = longer(START, LOOK, "free")
    assert tape.outcome(looked) == 0.5  # one refused (0), one said done (1); BOOKED went on
    assert tape.outcome(longer(longer(looked, BOOK, "done"), LOOK, "taken")) == 1.0


def test_ways_that_nobody_went_and_episodes_without_calls_have_no_outcome() -> None:
    talked = Logged("d", [*ASKED, says("No.")], 1.0)
    tape = Tape([BOOKED, talked, Logged("e", REFUSED.messages, None)])
    assert tape.outcome(START) is None
    assert tape.outcome(longer(START, LOOK, "free")) is None  # only the unlabelled one stops here
    assert tape.outcome(longer(START, BOOK, "done")) is None
