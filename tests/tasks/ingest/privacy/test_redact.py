"""Nothing private survives redaction, little else is touched, and every text parses as before."""

import json
import random
import string
import time

import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import ConfigurationError
from schemas.privacy import PrivacyConfig
from tasks.ingest.privacy.redact import Names, Redactor

KEY = b"k" * 32
CARD = "4111111111111111"
MAIL = "jane.roe@example.org"


@pytest.fixture
def redactor():
    return Redactor(PrivacyConfig(), KEY)


def redacted(text, **rules):
    return Redactor(PrivacyConfig(**rules), KEY).redact_text(text, Names())


def test_a_value_becomes_a_typed_placeholder_numbered_by_first_appearance(redactor):
    names = Names()
    assert redactor.redact_text(f"{MAIL} and a@b.org", names) == "<EMAIL_1> and <EMAIL_2>"
    assert redactor.redact_text(f"again {MAIL}", names) == "again <EMAIL_1>"
    assert redactor.counts == {"EMAIL": 3}


def test_two_spellings_of_one_value_are_one(redactor):
    names = Names()
    assert redactor.redact_text("4111 1111 1111 1111", names) == "<CARD_1>"
    assert redactor.redact_text(json.dumps({"card": CARD}), names) == '{"card": "<CARD_1>"}'
    assert redactor.redact_text("Jane.Roe@Example.org", names) == "<EMAIL_1>"
    assert redactor.redact_text(MAIL, names) == "<EMAIL_1>"


def test_redaction_of_what_is_redacted_changes_nothing(redactor):
    once = redactor.redact_text(
        f'password="hunter2" {MAIL} {CARD} Bearer abcd1234efgh5678', Names()
    )
    assert once == 'password="<SECRET_1>" <EMAIL_1> <CARD_1> Bearer <SECRET_2>'
    assert redactor.redact_text(once, Names()) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"x\\n{MAIL}", "x\\n<EMAIL_1>"),
        (f"x\\\\n{MAIL}\\\\n", "x\\\\n<EMAIL_1>\\\\n"),
        (f'{{"a": "\\"{MAIL}\\""}}', '{"a": "\\"<EMAIL_1>\\""}'),
        ("jane\\u0040example.org", "<EMAIL_1>"),
        ("jane%40example.org", "<EMAIL_1>"),
        (f"\x1b[31m{MAIL}\x1b[0m", "\x1b[31m<EMAIL_1>\x1b[0m"),
        (f"\\u001b[31m{MAIL}\\u001b[0m", "\\u001b[31m<EMAIL_1>\\u001b[0m"),
        (f"\\u90ae\\u7bb1{MAIL}\\u3002", "\\u90ae\\u7bb1<EMAIL_1>\\u3002"),
        ("https:\\/\\/me:pw@host\\/x", "https:\\/\\/<CONNECTION_1>\\/x"),
    ],
)
def test_an_escape_beside_a_value_is_neither_taken_nor_broken(redactor, text, expected):
    assert redactor.suspects(pa.array([text])).tolist() == [True]
    assert redactor.redact_text(text, Names()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"card": 4111111111111111}, {"card": "<CARD_1>"}),
        ([1, 4111111111111111, 2], [1, "<CARD_1>", 2]),
        ({"a": [{"n": -4111111111111111}]}, {"a": [{"n": "<CARD_1>"}]}),
        ({"phone": 4155550132, "n": 4155550133}, {"phone": "<PHONE_1>", "n": 4155550133}),
        ({"password": 834921}, {"password": "<SECRET_1>"}),
        ({"password": None, "n": 1.5}, {"password": None, "n": 1.5}),
        ({MAIL: 4111111111111111}, {"<EMAIL_1>": "<CARD_1>"}),
    ],
)
def test_a_bare_number_becomes_a_quoted_placeholder_at_every_depth_of_json(value, expected):
    text, inner = value, expected
    for _ in range(4):
        text, inner = json.dumps(text), json.dumps(inner)
        assert redacted(text) == inner
        text, inner = {"text": text}, {"text": inner}


@pytest.mark.parametrize(
    "text",
    ['{"prompt": "Enter your password: ", "n": 1}', '["password:", "x"]', '["password is "]'],
)
def test_a_quote_that_ends_a_text_opens_no_value(text):
    assert redacted(text) == text
    assert redacted(json.dumps({"a": text})) == json.dumps({"a": text})


def test_json_within_prose_stays_json():
    assert redacted(f'Result: {{"card": {CARD}}}') == 'Result: {"card": "<CARD_1>"}'


def test_a_password_holding_an_escaped_quote_is_taken_to_its_end():
    text = json.dumps({"password": 'hun"ter2', "n": 1})
    assert redacted(text) == '{"password": "<SECRET_1>", "n": 1}'
    assert redacted(json.dumps({"a": text})) == json.dumps({"a": redacted(text)})


def test_a_value_named_once_is_replaced_wherever_the_episode_repeats_it(redactor):
    texts = {
        "content": pa.array(["try hunter2 now", "my password is hunter2", None, "hunter2"]),
        "arguments": pa.array(['{"value":"hunter2"}', '{"value":"hunter22"}']),
    }
    owner = {"content": np.array([0, 0, 0, 1]), "arguments": np.array([0, 0])}
    columns = redactor.redact_columns(texts, owner)
    assert columns["content"].to_pylist() == [
        "try <SECRET_1> now", "my password is <SECRET_1>", None, "hunter2",
    ]  # fmt: skip
    assert columns["arguments"].to_pylist() == ['{"value":"<SECRET_1>"}', '{"value":"hunter22"}']


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_columns_share_placeholders_within_an_episode_and_start_anew_in_the_next(redactor, kind):
    texts = {
        "content": pa.array([f"{MAIL} a@b.org", "nothing", "a@b.org", None], kind),
        "arguments": pa.chunked_array([pa.array(["a@b.org"], kind), pa.array([MAIL], kind)]),
        "extra": pa.array(["clean"], kind),
    }
    owner = {
        "content": np.array([0, 0, 1, 1]), "arguments": np.array([0, 1]), "extra": np.array([0]),
    }  # fmt: skip
    columns = redactor.redact_columns(texts, owner)
    assert columns["content"].to_pylist() == ["<EMAIL_1> <EMAIL_2>", "nothing", "<EMAIL_1>", None]
    assert columns["arguments"].to_pylist() == ["<EMAIL_2>", "<EMAIL_2>"]
    assert columns["extra"] is texts["extra"]
    assert columns["content"].type == kind


def test_an_id_gets_a_placeholder_that_is_equal_in_every_episode_and_keyed(redactor):
    first, second = (redactor.redact_key(f"{place}/{MAIL}") for place in ("session", "run"))
    assert first.startswith("session/<EMAIL_")
    assert first.split("<")[1] == second.split("<")[1]
    assert redactor.redact_key("a@b.org") != redactor.redact_key(MAIL)
    assert Redactor(PrivacyConfig(), b"x" * 32).redact_key(MAIL) != redactor.redact_key(MAIL)
    assert redactor.redact_key("call_1") == "call_1"


@pytest.mark.parametrize("around", [(b"\xff\xfe{", b"\x00\x80"), (b'{"a": "', b""), (b"", b"\r\n")])
def test_raw_bytes_lose_the_value_and_nothing_else(redactor, around):
    before, after = around
    raw = before + MAIL.encode() + after
    result = redactor.redact_bytes(raw)
    if raw.startswith(b"\xff\xfe"):  # an odd length is no UTF-16
        assert len(raw) % 2 == 1
    assert MAIL.encode() not in result
    assert result.startswith(before)
    assert result.endswith(after)
    assert redactor.redact_bytes(b"\x00\xff\xfe{") == b"\x00\xff\xfe{"


def test_a_value_in_a_long_record_that_is_no_text_is_replaced(redactor):
    raw = b"\xff" + b"word " * 5000 + MAIL.encode()
    result = redactor.redact_bytes(raw)
    assert MAIL.encode() not in result
    assert result.startswith(raw[:25_000])
    assert list(redactor.found(raw)) == [MAIL]


def test_what_is_replaced_between_whatever_signs_was_a_suspect(redactor):
    values = [
        "4111 1111 1111 1111", "4222222222222", "123-45-6789", "2341 2341 2346", "12345678Z",
        "AB123456C", "1 85 05 78 006 084 36", "529.982.247-25", "811228-9874", "900101-1234567",
        "+49 30 1234567", "555-123-4567", "212.555.1234", "13812345678", "192.168.10.77", MAIL,
    ]  # fmt: skip
    signs = [
        "", ".", "-", "0.", "5-", "x.", "9", "a", "_", "+", "\\n", "\\u002e", "\\u0039.", "%2E",
        "\x1b[31m", "\x1b[?25h", "\\u001b[0m.", "\\\\\"", "é.", "٣.", "\u00a0", "<EMAIL_1>", ";\n",
    ]  # fmt: skip
    source = random.Random(0)
    texts = ["".join(map(source.choice, (signs, signs, values, signs))) for _ in range(6000)]
    suspects = redactor.suspects(pa.array(texts))
    free = [text for text, suspect in zip(texts, suspects, strict=True) if not suspect]
    assert len(free) > 300
    assert [text for text in free if redactor.redact_text(text, Names()) != text] == []


def test_a_fraction_is_no_suspect_and_a_card_behind_a_full_stop_is(redactor):
    texts = ["id = 0.4111111111111111", "id.4111111111111111", "9-4111111111111111", "4" * 20]
    assert redactor.suspects(pa.array(texts)).tolist() == [False, True, False, False]


def test_raw_bytes_in_utf_16_are_read_too(redactor):
    raw = f"\ufeffmail {MAIL} ok".encode("utf-16-le")
    text = redactor.redact_bytes(raw).decode("utf-16-le")
    assert text.startswith("\ufeffmail <EMAIL_")
    assert text.endswith("> ok")


def test_a_truncated_secret_is_one(redactor):
    assert b"hunter2" not in redactor.redact_bytes(b'{"user":"x","password": "hunter2')
    key = b'{"k":"-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\\nBKcwgg'
    assert b"MIIE" not in redactor.redact_bytes(key)
    assert b"BKcwgg" not in redactor.redact_bytes(key)


def test_rules_choose_kinds_and_allow_spares_texts():
    text = f"{MAIL} {CARD} help@ours.com"
    assert redacted(text, rules=["CARD"]) == f"{MAIL} <CARD_1> help@ours.com"
    assert redacted(text, allow=["help@ours.com"]) == "<EMAIL_1> <CARD_1> help@ours.com"
    assert redacted(text, redact=False) == text


def test_a_pattern_of_the_users_own_has_its_own_kind():
    config = PrivacyConfig(patterns={"STAFF": r"\bE-\d{5}\b"})
    redactor = Redactor(config, KEY)
    assert redactor.suspects(pa.array(["x E-12345", "x E-1"])).tolist() == [True, False]
    assert redactor.redact_text("ask E-12345", Names()) == "ask <STAFF_1>"


@pytest.mark.parametrize(
    "bad", [{"A": "("}, {"A": "x*"}, {"A": r"(?<=x)y"}, {"lower": "x"}, {"EMAIL": "x"}]
)
def test_a_pattern_that_cannot_be_used_is_refused(bad):
    with pytest.raises(ConfigurationError, match=r"privacy\.patterns"):
        PrivacyConfig(patterns=bad)


def test_an_unknown_kind_is_refused_with_the_ones_there_are():
    with pytest.raises(ConfigurationError, match=r"'MAIL'.*EMAIL"):
        PrivacyConfig(rules=["MAIL"])


def test_names_without_presidio_say_what_to_install():
    try:
        import presidio_analyzer  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigurationError, match="pip install"):
            Redactor(PrivacyConfig(names=True), KEY)
    else:
        pytest.skip("presidio is installed")


FRAGMENTS = (
    MAIL, CARD, "4111 1111 1111 1111", "+1 415 555 0132", "13812345678", "10.0.0.7",
    "password",
    "token", "Bearer", "手机", "phone", "hunter2x",
    "Zq81kLm0pQw7RtYx", "sk-" + "a1B2" * 8, "=", ":",
    ": ", '"', "'", "\n", "\t", "\\", "/", "%20", "%40", "\x1b[0m", ",", "。", " ", "a", "7", "is ",
    "<EMAIL_1>", "postgres://u:p1@h/d", "DE89370400440532013000", "ssn",
    "123-45-6789", "{", "}",
    "é",
)  # fmt: skip


def test_whatever_is_replaced_was_suspected_and_json_stays_json(redactor):
    source = random.Random(3)
    texts = ["".join(source.choices(FRAGMENTS, k=source.randint(1, 7))) for _ in range(2000)]
    logged = [
        json.dumps({"a": [text, source.choice((1, int(CARD)))]}, ensure_ascii=depth > 1)
        if depth
        else text
        for text in texts
        for depth in range(3)
    ]
    logged[2::3] = [json.dumps({"text": text}) for text in logged[2::3]]
    suspects = redactor.suspects(pa.array(logged))
    for text, suspect in zip(logged, suspects, strict=True):
        result = redactor.redact_text(text, Names())
        assert suspect or result == text
        assert redactor.redact_text(result, Names()) == result
    for text in logged[2::3]:
        json.loads(json.loads(redactor.redact_text(text, Names()))["text"])


HARD = {
    "named digits": "token" + "4" * 1_000_000,
    "named suffixes": "token" + "base64" * 150_000,
    "letters": "a" * 1_000_000,
    "digits": "4" * 1_000_000,
    "ats": "@" * 1_000_000,
    "base64": "".join(
        random.Random(0).choices(string.ascii_letters + string.digits + "+/", k=10**6)
    ),
    "addresses": "a@a." * 250_000,
    "numbers": "1234 " * 200_000,
    "colons": "2001:" * 200_000,
    "keys": "-----BEGIN PRIVATE KEY-----" * 40_000,
    "names": "password=" * 110_000,
    "quotes": '\\"' * 500_000,
    "backslashes": "\\" * 1_000_000,
    "links": "://a:" * 200_000,
}


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_a_megabyte_of_anything_takes_no_quadratic_time(redactor, text):
    started = time.process_time()
    redactor.suspects(pa.array([text]))
    redactor.redact_text(text, Names())
    assert time.process_time() - started < 20  # quadratic in its length, it would take minutes
