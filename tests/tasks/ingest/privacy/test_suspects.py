"""Texts that are searched together are suspected as when each is searched alone."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.privacy import PrivacyConfig
from tasks.ingest.privacy import suspects
from tasks.ingest.privacy.patterns import BUILT_IN, ENCODED, chosen
from tasks.ingest.privacy.placeholders import Names
from tasks.ingest.privacy.redact import SMALL, Redactor
from tasks.ingest.privacy.rule import SPACES, widened
from tasks.ingest.privacy.suspects import Suspects

PIECES = [
    "jane", "@", "example.org", "4111 1111 1111 1111", "123-45-6789", "password", ": ", "hunter2!",
    "sk-proj-", "Ab1" * 9, "192.168.", "10.77", "+49 30 1234567", "\n", "", "a", "é", " ", "://",
    "me:pw@host", "\\n", "\\u0040", "%40", '"', "-----BEGIN ", "PRIVATE KEY", "DE",
    "89370400440532013000",
]  # fmt: skip
texts_of_pieces = st.lists(
    st.none() | st.lists(st.sampled_from(PIECES), max_size=5).map("".join), max_size=8
)
ALONE = "|".join([*dict.fromkeys(rule.hint for rule in BUILT_IN if rule.hint), ENCODED])
HELD = Suspects(BUILT_IN)


@given(texts_of_pieces)
def test_whoever_is_suspected_alone_is_so_in_company(texts):
    column = pa.array(texts, pa.string())
    alone = pc.fill_null(pc.match_substring_regex(column, ALONE), False).to_pylist()
    together = HELD.among(column).tolist()
    assert [text for text, a, b in zip(texts, alone, together, strict=True) if a and not b] == []


@given(texts_of_pieces)
def test_a_slice_and_a_large_column_have_the_same_suspects(texts):
    column = pa.array(["jane@example.org", *texts], pa.string())
    found = HELD.among(column).tolist()
    assert found[0]
    assert HELD.among(column.cast(pa.large_string())).tolist() == found
    assert HELD.among(column[1:])[1:].tolist() == found[2:]


def test_a_match_across_texts_hides_none_behind_it():
    across = Suspects.__new__(Suspects)
    across._lines, across._own = suspects.compiled("a[^z]*b|c"), ""
    texts = ["xa", "mm", "bc", "q", "c"]
    assert across.among(pa.array(texts)).tolist() == [True, True, True, False, True]


def test_columns_too_big_to_be_laid_end_to_end_are_cut(monkeypatch):
    monkeypatch.setattr(suspects, "TOGETHER", 64)
    texts = ["nothing here", "jane@example.org", None, "x" * 200, "bob@example.org"]
    assert HELD.among(pa.array(texts)).tolist() == [False, True, False, False, True]


def test_a_pattern_of_ones_own_may_ask_for_the_whole_text():
    rules = chosen(PrivacyConfig(patterns={"TICKET": r"\AT-[0-9]+$"}))
    texts = pa.array(["T-1", "is T-1", "T-2", "T-3\n", "jane@example.org", None])
    assert Suspects(rules).among(texts).tolist() == [True, False, True, True, True, False]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\bE-\d{5}\b", '{"q": "see\\nE-12345"}'),
        ("客户[0-9]+", '{"k": "\\u5ba2\\u623712345"}'),
        ("order/[0-9]+", '{"at": "order\\/12"}'),
        (r"A\s[0-9]+", "A\\t12"),
        ("Kunde Müller", "Kunde M\\u00fcller"),
        ("[0-9]+$", "12\n"),
        ("^a|b$", "b\n"),
    ],
)
def test_a_pattern_of_ones_own_is_not_missed_behind_an_escape(pattern, text):
    redactor = Redactor(PrivacyConfig(patterns={"OWN": pattern}), b"k" * 32)
    assert redactor.redact_text(text, Names()) != text
    assert redactor.suspects(pa.array([text])).tolist() == [True]


@pytest.mark.parametrize(
    "text",
    [
        "Mot de passe\u00a0: hunter2!", "密码\u3000\uff1ahunter2!x", "phone\u00a0: 06123456789",
        "password\u202f: hunter2!", "jané.@example.org", "Authorization: Bearer tel\\/DEabc",
    ],
)  # fmt: skip
def test_white_space_beyond_ascii_and_signs_beside_a_value_hide_nothing(text):
    redactor = Redactor(PrivacyConfig(), b"k" * 32)
    assert redactor.redact_text(text, Names()) != text
    assert redactor.suspects(pa.array([text])).tolist() == [True]


@pytest.mark.parametrize(
    ("hint", "as_python_reads_it"),
    [
        (r"[([]\s", r"[([][S]"), (r"[]\s]", r"[]S]"), (r"[^]\s]\s", r"[^]\s][S]"),
        (r"\[\s\]", r"\[[S]\]"), (r"\\s\x{80}[\s-]", r"\\s\x{80}[S-]"), (r"[^^\s]", r"[^^\s]"),
    ],
)  # fmt: skip
def test_a_hint_is_widened_within_classes_and_outside(hint, as_python_reads_it):
    assert widened(hint) == as_python_reads_it.replace("S", SPACES)


def test_few_texts_are_all_looked_at():
    redactor = Redactor(PrivacyConfig(), b"k" * 32)
    few, many = pa.array(["plain", None]), pa.array(["plain"] * (SMALL // 5))
    assert redactor.suspects_of(few).tolist() == [True, False]
    assert not redactor.suspects_of(many).any()


def test_a_text_of_many_hits_is_found_once_and_the_next_one_too():
    texts = pa.array(["a@b.de, " * 9, "nothing here", "1.2.3.4, " * 9, "", "z@y.de"])
    assert HELD.among(texts).tolist() == [True, False, True, False, True]
