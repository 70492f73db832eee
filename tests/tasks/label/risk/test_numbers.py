"""Numbers are read from the bytes of a column as a reader would read them from each text."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.label.risk.numbers import numbers_of, parts_of, runs_of


def read(*texts, **options):
    found = numbers_of(pa.array(texts, pa.string()), **options)
    return list(zip(found.text.tolist(), found.value.tolist(), strict=True))


def values(text):
    return [value for _, value in read(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("none", []),
        ("42", [42.0]),
        ("It was $1,234.50.", [1234.5]),
        ("1,234,567", [1234567.0]),
        ("12,34", [12.0, 34.0]),  # no thousands
        ("1234,567", [1234.0, 567.0]),  # a first group has three digits at most
        ("0.123,456", [0.123, 456.0]),  # nothing follows a fraction
        ("12.05.2024", [12.05, 2024.0]),
        ("1.2.3.4", [1.2, 3.4]),
        ("2024-01-05", [2024.0, 1.0, 5.0]),
        ("a1b22", [1.0, 22.0]),
        ("007", [7.0]),
        (".5 5.", [5.0, 5.0]),
        ("1,2", [1.0, 2.0]),
        ("naïve 3½ — 4 €", [3.0, 4.0]),
        ("1,000.250,7", [1000.25, 7.0]),
    ],
)
def test_notations(text, expected):
    assert values(text) == pytest.approx(expected)


def test_numbers_end_with_their_text():
    assert read("1", "2", None, "", "3,", "456", ".5") == [
        (0, 1.0), (1, 2.0), (4, 3.0), (5, 456.0), (6, 5.0),
    ]  # fmt: skip


def test_a_slice_of_a_column_is_read_as_itself():
    column = pa.array(["11", "22", "33"])
    assert numbers_of(column[1:2]).value.tolist() == [22.0]


def test_only_wanted_texts_are_read():
    assert read("1", "2", "3", wanted=np.array([True, False, True])) == [(0, 1.0), (2, 3.0)]


def test_columns_that_meet_in_data_are_given_apart_too():
    assert sorted(read("7,100,200", data=True)) == [
        (0, 7.0),
        (0, 100.0),
        (0, 200.0),
        (0, 7100200.0),
    ]


def test_what_stands_around_a_number_is_told():
    found = numbers_of(pa.array(["10. item 11) 12.5% 13 %\n  14) x\n15.5 is", "16.", "17", "18)x"]))
    told = zip(found.value.tolist(), found.percent.tolist(), found.marker.tolist(), strict=True)
    assert [(value, percent, marker) for value, percent, marker in told] == [
        (10.0, False, True), (11.0, False, False), (12.5, True, False), (13.0, False, False),
        (14.0, False, True), (15.5, False, False), (16.0, False, True), (17.0, False, False),
        (18.0, False, False),
    ]  # fmt: skip
    assert found.decimals.tolist() == [0, 0, 1, 0, 0, 1, 0, 0, 0]
    assert found.digits.tolist() == [2, 2, 3, 2, 2, 3, 2, 2, 2]


def test_numbers_too_long_to_be_told_apart_are_still_finite():
    long = "9" * 5000 + " " + ",".join(["123"] * 500) + " 0." + "1" * 5000
    assert np.isfinite(values(long)).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text("019.,- \né", max_size=12)), max_size=6))
def test_every_digit_is_its_own_texts_and_each_text_reads_as_it_would_alone(texts):
    whole = numbers_of(pa.array(texts, pa.string()))
    for row, text in enumerate(texts):
        digits = sum(len(run) for run in re.findall("[0-9]+", text or ""))
        assert whole.digits[whole.text == row].sum() == digits
        assert whole.value[whole.text == row].tolist() == values(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("01 .", max_size=12), max_size=6), st.integers(1, 5))
def test_a_run_may_reach_over_the_edge_of_a_stretch(texts, stretch):
    offsets, data = parts_of(pa.array(texts, pa.string()))
    for short, whole in zip(
        runs_of(data, offsets, None, stretch), runs_of(data, offsets, None), strict=True
    ):
        assert np.array_equal(short, whole)
