"""Words of users: a labelled table of what people say, in English and Chinese, and look-alikes."""

# ruff: noqa: RUF001 - Chinese marks are meant.

from pathlib import Path

import pytest

from schemas.label_config import SignalConfig
from tasks.label.detect.detect import shown

KINDS = {"correction_said", "complaint_said", "escalation_said", "thanks_said"}
ROWS = [
    (kind, said.replace("\\n", "\n"))
    for line in (Path(__file__).parent / "said.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for kind, said in [line.split("\t")]
]


@pytest.fixture(scope="module")
def heard(blocks, user, agent):
    """Give the kinds that each text shows as the last turn of a conversation."""

    def hear(*texts):
        episodes = [[user("how many rows?"), agent("There are 40."), user(text)] for text in texts]
        found = shown(blocks(*episodes), SignalConfig())
        return [{kind for kind in KINDS if found[kind][row]} for row in range(len(texts))]

    return hear


def test_the_table_has_both_languages_and_both_answers():
    assert {kind for kind, _ in ROWS} == {"-", *KINDS}
    for positive in (True, False):
        rows = [said for kind, said in ROWS if (kind != "-") == positive]
        chinese = [said for said in rows if any("\u4e00" <= letter <= "\u9fff" for letter in said)]
        assert len(rows) >= 150
        assert len(chinese) >= 45


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_precision_comes_first_and_recall_stays_high(heard, kind):
    told = [kind in kinds for kinds in heard(*(said for _, said in ROWS))]
    meant = [label == kind for label, _ in ROWS]
    false = [said for (_, said), t, m in zip(ROWS, told, meant, strict=True) if t and not m]
    assert false == []
    both = sum(t and m for t, m in zip(told, meant, strict=True))
    # Two corrections that only a reader understands are missed: "I said no onions".
    assert both / sum(meant) >= 0.95


@pytest.mark.parametrize(
    "text",
    [
        'The customer wrote "that\'s wrong, this is useless, let me talk to a human".',
        "Why does the log hold `that's not right`?",
        "> this is useless\nHow do I answer that?",
        "```\nassert 'thanks', 'you forgot the refunds'\n```",
        "Please translate: 不对，我要投诉",
    ],
)
def test_words_of_others_are_not_the_users(heard, text):
    assert heard(text) == [set()]


def test_any_apostrophe_and_white_space_will_do(heard):
    texts = ["that's wrong", "that\u2019s wrong", "thats wrong", "that's\n wrong", "THAT'S WRONG!"]
    assert heard(*texts) == [{"correction_said"}] * 5


def test_thanks_with_a_complaint_or_a_request_are_no_thanks(heard):
    assert heard("Thanks, but you used the wrong table") == [{"correction_said"}]
    assert heard("Thank you. Now show me June.") == [set()]


def test_a_pasted_text_says_nothing_about_the_answer(heard):
    # 2,000 bytes are the longest turn that is read.
    assert heard("That's wrong. " + "x" * 1900) == [{"correction_said"}]
    assert heard("That's wrong. " + "x" * 2000) == [set()]


def test_the_first_turn_speaks_of_no_answer(blocks, user, agent):
    words = "That's wrong. This is useless. Let me talk to a human."
    greeted = [agent("Hello!"), user(words), agent("Sorry.")]
    unanswered = [user("how many?"), user(words), agent("Sorry.")]
    answered = [user("how many?"), agent("40"), user(words), agent("Sorry.")]
    found = shown(blocks(greeted, unanswered, answered), SignalConfig())
    for kind in ("correction_said", "complaint_said", "escalation_said"):
        assert found[kind].tolist() == [False, False, True]


def test_only_the_last_words_are_thanks_and_a_stop_marker_is_no_words(blocks, user, agent):
    ask, answer, thanks = user("how many?"), agent("40"), user("Thank you!")
    episodes = [
        [ask, answer, thanks],
        [ask, answer, thanks, answer],
        [ask, answer, thanks, answer, user("###STOP###")],
        [ask, answer, thanks, answer, user("And how many columns are there?"), answer],
        [thanks, answer],
    ]
    found = shown(blocks(*episodes), SignalConfig())
    assert found["thanks_said"].tolist() == [True, True, True, False, False]
