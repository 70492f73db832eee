"""Files become records with their line and byte offset, whatever their container."""

import hashlib
from datetime import UTC, datetime

import pytest

from schemas.errors import InputError
from tasks.ingest.reader import digests, expand, finished, is_cut, read_records
from tasks.ingest.times import parse_time


def test_lines_know_their_number_and_offset_past_blank_lines_and_crlf():
    data = b'{"a":1}\r\n\n{"b":2}\n'
    assert [(r.line, r.offset, r.raw) for r in read_records(data)] == [
        (1, 0, b'{"a":1}'),
        (3, 10, b'{"b":2}'),
    ]


def test_a_stretch_keeps_the_numbers_of_the_whole_file():
    data = b'{"a":1}\n{"b":2}\n'
    assert [(r.line, r.offset) for r in read_records(data, start=8)] == [(2, 8)]


def test_elements_of_an_array_know_where_they_stand():
    data = b'[\n {"a": 1},\n {"a": 1}\n]'
    assert [(r.line, r.offset) for r in read_records(data)] == [(1, 3), (2, 14)]


def test_one_object_over_several_lines_is_one_record():
    assert [r.raw for r in read_records(b'{\n"a": 1\n}\n')] == [b'{\n"a": 1\n}']


def test_a_byte_order_mark_is_no_part_of_the_first_record():
    assert read_records(b'\xef\xbb\xbf{"a":1}\n')[0].raw == b'{"a":1}'


def test_a_last_line_still_being_written_is_not_finished():
    whole, part = b'{"a":1}\n', b'{"b"'
    assert finished(whole, read_records(whole)) == 8
    assert finished(whole + part, read_records(whole + part)) == 8
    assert finished(whole + b'{"b":1}', read_records(whole + b'{"b":1}')) == 15


def test_json_cut_anywhere_is_told_from_text_that_is_no_json():
    whole = '{"a": ["é\\u00e9\\"", -1.5e-3, true, null], "b": {}}'.encode()
    assert all(is_cut(whole[:end]) for end in range(1, len(whole)))
    assert not is_cut(whole)
    assert not any(is_cut(text) for text in (b"not json", b'{"a": x', b"{} x", b"[" * 5000))


def test_digests_of_prefixes_are_those_of_the_bytes_and_never_beyond_the_file():
    found = digests(b"abcdef", [2, 4, 99])
    assert found == {n: hashlib.sha256(b"abcdef"[:n]).hexdigest() for n in (2, 4, 6)}


def test_a_missing_path_and_a_folder_without_logs_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        expand([str(tmp_path / "nowhere")])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no log files"):
        expand([str(tmp_path)])


@pytest.mark.parametrize(
    "logged",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T04:04:05+01:00",
        "2026-01-02T03:04:05",
        1767323045,
        1767323045.0,
        1767323045000,
        1767323045000000,
        [1767323045, 0],
    ],
)
def test_times_in_all_their_forms_are_one_time(logged):
    assert parse_time(logged) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("logged", ["yesterday", {}, [1], True, 1e300, float("inf")])
def test_what_is_no_time_is_refused_with_its_path(logged):
    with pytest.raises(ValueError, match=r"\$\.timestamp"):
        parse_time(logged)


def test_no_time_is_none():
    assert parse_time(None) is None
