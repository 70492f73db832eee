"""Texts as sets of words: what belongs to a word, what is a value, how much is spoken."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.label.detect.alike import alike
from tasks.label.detect.questions import read_questions


def sizes(*texts):
    return np.diff(read_questions(pa.array(texts, pa.string())).start).tolist()


def spoken(*texts):
    return read_questions(pa.array(texts, pa.string())).spoken.tolist()


def test_words_are_counted_once_each_and_spoken_as_often_as_they_stand():
    assert sizes("the cat and the dog", "", "...", "Cat cat") == [4, 0, 0, 1]
    assert spoken("the cat and the dog", "", "...", "Cat cat") == [5, 0, 0, 2]


def test_a_number_keeps_its_marks_and_a_sentence_loses_them():
    # 3.5 | 2024-05-01 | -4 | it's | end
    assert sizes("3.5 2024-05-01 -4 it's end.") == [5]


def test_a_script_without_spaces_is_read_in_pairs():
    # Four characters are three pairs and about two words (half a word a pair and its end).
    assert sizes("销售数据") == [3]
    assert spoken("销售数据 by store") == [2 + 1.5]


def same_values(one, other):
    values = read_questions(pa.array([one, other])).values
    return bool(values[0] == values[1])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("rows of 5 stores", "the 5 rows", True),
        ("rows of 5", "rows of 6", False),
        ("costs 5", "costs -5", False),
        ("version 1.2", "version 2.1", False),
        ('says "north"', 'says "south"', False),
        ("says “north”", "says “north” loudly", True),
        ("说「北」方「南」", "说「东」方「西」", True),
        ("说「北方」", "说「南方」", False),
        ("in 5月", "in 6月", False),
        ("says `a`", "says b", False),
    ],
)
def test_values_are_what_has_a_digit_or_stands_in_quotes(one, other, same):
    assert same_values(one, other) == same


def test_a_quote_left_open_ends_with_its_text():
    values = read_questions(pa.array(['say "north', "say south", "say west"])).values
    assert values[0] != values[1] == values[2]


def test_many_texts_are_read_as_few_are():
    texts = [f"how many orders had store {number} in may" for number in range(5000)]
    questions = read_questions(pa.array([*texts, *texts]))
    every = np.arange(5000)
    assert alike(questions, every, every + 5000, 0.7).all()
    assert not alike(questions, every[1:], every[:-1] + 5000, 0.7).any()


def test_no_pairs_and_no_texts_are_nothing():
    none = np.zeros(0, np.int64)
    assert alike(read_questions(pa.array([], pa.string())), none, none, 0.7).tolist() == []
