"""Rules for what points at a person: addresses, telephone, card, account and identity numbers."""

# ruff: noqa: RUF001  (full-width punctuation stands beside Chinese words)

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date

from tasks.ingest.privacy import checksums
from tasks.ingest.privacy.rule import (
    COLOUR,
    EDGE,
    ESCAPED_QUOTES,
    START,
    STOP,
    Check,
    Rule,
    Span,
    edge_after,
    hinted,
)

Q = ESCAPED_QUOTES
LETTERS = "A-Za-zÀ-ɏ"

LOCAL = re.compile(rf"(?:[{LETTERS}0-9._%+-]|(?<=[A-Za-z])'(?=[A-Za-z]))+\Z")
NOT_MAIL = re.compile(
    r"(?i)\.(?:png|jpe?g|gif|svg|webp|ico|css|scss|js|jsx|tsx?|json|ya?ml|xml|html?|txt|csv|git|lock"
    r"|service|socket|timer|slice|mount|target|tar|gz|zip|whl|tgz)\Z"
)
"""Ends of what looks like a host and is a file (`icon@2x.png`) or a unit of systemd."""
SENTENCE = re.compile(r"(?<=[a-z])\.[A-Z][a-z]+\Z")
"""The first word of the next sentence, when nobody wrote a space."""


def mail(match: re.Match[str]) -> Iterator[Span]:
    """Take an address, found by its host, back to where its local part starts."""
    text, at, end = match.string, match.start(), match.end()
    local = LOCAL.search(text, max(0, at - 64), at)
    host = match.group()[1:]
    if not local or NOT_MAIL.search(host):
        return
    start = local.start() + len(local.group()) - len(local.group().lstrip(".-+%"))
    if start == at or text[start:at] == "git":
        return
    sentence = SENTENCE.search(host)
    if sentence and "." in host[: sentence.start()]:
        end -= len(sentence.group())
    yield start, end


def valid(pattern: str, check: Callable[[str], bool]) -> tuple[re.Pattern[str], Check]:
    """Compile a pattern between edges, and check what it finds without its separators."""

    def spans(match: re.Match[str]) -> Iterable[Span]:
        if check(re.sub(r"[ .\-/]", "", match.group())):
            yield match.span()

    return re.compile(f"{START}{pattern}"), spans


def account(match: re.Match[str]) -> Iterator[Span]:
    """Take an account number as long as its country's are: words may follow."""
    signs = [place for place, sign in enumerate(match.group()) if sign.isalnum()]
    length = checksums.IBAN_LENGTHS.get(match.group()[:2].upper(), 99)
    if length > len(signs):
        return
    end = match.start() + signs[length - 1] + 1
    number = re.sub("[ -]", "", match.string[match.start() : end]).upper()
    if not match.string[end : end + 1].isalnum() and checksums.iban(number):
        yield match.start(), end


GAP = "(?:[ -]|\u00a0)"
CARD_SHAPES = (
    rf"(?:[2-6][0-9]{{3}}(?:{GAP}?[0-9]{{4}}){{3}}(?:{GAP}?[0-9]{{3}})?"
    rf"|3[0-9]{{3}}{GAP}?[0-9]{{6}}{GAP}?[0-9]{{4,5}}|4[0-9]{{12}})"
)
CARD_PREFIX = re.compile(
    r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[689])|6(?:011|4[4-9]|5|2)|35"
    r"|50|5[6-8]|6[0379]"
)


def card(digits: str) -> bool:
    """Check a card number: its prefix, and Luhn's digit."""
    digits = digits.replace("\u00a0", "")
    return bool(CARD_PREFIX.match(digits)) and len(set(digits)) > 1 and checksums.luhn(digits)


def born(year: str, month: str, day: str) -> bool:
    """Tell whether a day of birth exists."""
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def swedish(number: str) -> bool:
    """Check a personnummer written with its sign: a date, and Luhn's digit."""
    digits = re.sub("[+-]", "", number)
    return born("20" + digits[:2], digits[2:4], digits[4:6]) and checksums.luhn(digits)


def korean(number: str) -> bool:
    """Check a resident number: a date, then the century and sex."""
    return born(("19" if number[6] in "12" else "20") + number[:2], number[2:4], number[4:6])


def chinese(number: str) -> bool:
    """Check a Chinese resident's number: a date, and its last place."""
    return born(number[6:10], number[10:12], number[12:14]) and checksums.chinese_id(number)


def always(_: str) -> bool:
    """Take what has the shape."""
    return True


END = r"(?![0-9A-Za-z_]|[.,-][0-9])"
IDENTITIES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"(?<![0-9]-)(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}", always),  # US SSN
    (r"(?<![0-9]\.)[1-9][0-9]{5}(?:19|20)[0-9]{2}[01][0-9][0-3][0-9]{4}[0-9Xx]", chinese),
    ((r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
      r"(?: [0-9]{2} [0-9]{2} [0-9]{2} |[0-9]{6})[A-D]"), always),  # UK national insurance
    (r"(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[A-HJ-NP-TV-Z]", checksums.spanish_id),
    (r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]",
     checksums.italian_code),
    ((r"(?<![0-9]\.)[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[ABab]) ?[0-9]{3} ?"
      r"[0-9]{3} ?[0-9]{2}"), checksums.french_number),
    (r"(?<![0-9][.-])[2-9][0-9]{3}(?P<gap>[ -])[0-9]{4}(?P=gap)[0-9]{4}", checksums.verhoeff),
    (r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", checksums.brazilian_cpf),
    (r"(?<![0-9]-)[0-9]{6}[-+][0-9]{4}", swedish),
    (r"(?<![0-9]-)[0-9]{6}-[1-4][0-9]{6}", korean),
    (r"[STFG][0-9]{7}[A-Z]", checksums.singapore_id),
)  # fmt: skip
"""Identity numbers that can be told by themselves: shape, and what checks them."""

NAMED_ID = (
    r"social[_ ]security|\bni[_ ]n|\bssn\b|passport|national[_ ]?id|id[_ ]card|identity[_ ]card"
    r"|identity[_ ]number"
    r"|tax[_ ]?id|taxpayer|driver'?s?[_ ]?licen[cs]e|licen[cs]e[_ ]n|身份证|护照|aadhaa?r|\bpan\b"
    r"|national[_ ]insurance|\bnino\b|\bcpf\b|pesel|\bbsn\b|\btfn\b|\bdni\b|\bnie\b|personnummer"
    r"|steuer-?id|codice fiscale|sécurité sociale"
)
ID_WORDS = (
    "social", "ni n", "ni_n", "ssn", "passport", "national", "id card", "id_card", "identity",
    "tax", "licen", "身份证", "护照", "aadha", "pan", "nino", "cpf", "pesel", "bsn", "tfn", "dni",
    "nie", "personnummer", "steuer", "codice", "sécurité",
)  # fmt: skip
"""Texts of which every one of these names holds one, in small letters."""

JOIN = rf"(?:[\s\"'`{Q}:=#|：，,(（]|->|=>|\bis\b|\bare\b|\bat\b|\bon\b|是|为|号码?|：){{0,10}}"
JOIN_HINT = (
    rf"(?:{COLOUR}|\\+[nrtbf]|[\s\"'`\\:=#|：，,(（]|\\+u[0-9a-f]{{4}}|->|=>|is|are|at|on|是|为|号|码)"
    r"{0,24}"
)
NUMBER_WORD = r"(?:[_ -]?(?:number|num|no\.?|nr\.?|id|card|code|umber|o\.))?"

NAMED_PHONE = (
    r"phone|mobile|whats ?app|\btel\b|telephone|\bfax|\bcell\b|\bsms\b|\bhandy\b|teléfono|telefon"
    r"|telefono|móvil|celular|\bcall(?:ed|ing)?(?:\s(?:me|us|him|her|them|back|at|on))*\s"
    r"|contact[_ ]number|my number|手机|手機|电话|電話|联系方式|座机|致电|拨打"
)
PHONE_WORDS = (
    "phone", "mobile", "whats", "tel", "fax", "cell", "sms", "handy", "móvil", "celular", "call",
    "contact", "my number", "手机", "手機", "电话", "電話", "联系方式", "座机", "致电", "拨打",
)  # fmt: skip
"""The same for these."""


def words_hint(words: str) -> str:
    """Write alternatives for a hint: no edges of words, and JSON's escapes beside others."""
    parts = (part.replace(r"\b", "") for part in re.split(r"\|(?![^(]*\))", words))
    return "|".join(part if part.isascii() else hinted(part) for part in parts)


def international(match: re.Match[str]) -> Iterator[Span]:
    """Take a number with its country code, and no signed fraction."""
    value = match.group()
    digits = re.sub(r"\D", "", value)
    if not 8 <= len(digits) <= 15 or re.fullmatch(r"\+\d+\.\d+", value):
        return
    if digits[0] == "1" and (len(digits) != 11 or digits[1] in "01"):
        return
    yield match.span()


def beside(match: re.Match[str]) -> Iterator[Span]:
    """Take the number beside a naming word where it has the length of one."""
    digits = sum(c.isdigit() for c in match["value"])
    alone = match["value"].isdigit() and len(match["value"]) == 10 and match["value"][0] == "1"
    if digits >= 7 and not (alone and "_at" in match.group()):
        yield match.span("value")


def named_id(match: re.Match[str]) -> Iterator[Span]:
    """Take the number beside the name of a document."""
    value = match["value"]
    if sum(c.isdigit() for c in value) >= (4 if value[:5].isalpha() else 6):
        yield match.span("value")


NATIONAL = (
    (
        r"(?:1[-. ])?(?:\([2-9][0-9]{2}\)[ -]?[0-9]{3}[-. ][0-9]{4}|[2-9][0-9]{2}-[0-9]{3}-[0-9]{4}"
        r"|[2-9][0-9]{2}\.[0-9]{3}\.[0-9]{4})"
    ),  # North America
    r"0[1-9](?:[ .-][0-9]{2}){4}",  # France
    (
        r"0(?:7[0-9]{3}[ -][0-9]{3}[ -]?[0-9]{3}|20[ -][0-9]{4}[ -][0-9]{4}|1[0-9]{3}[ -][0-9]{6}"
        r"|1[0-9]{2}[ -][0-9]{3}[ -][0-9]{4})"
    ),  # United Kingdom
    r"\(0[0-9]{2,4}\) ?[0-9]{3,4}[ -]?[0-9]{3,4}",
    r"0[1-9][0-9]{1,3}[ /-][0-9]{6,8}|0[0-9]{2,3}-[0-9]{7,8}",  # Germany, Chinese land lines
    r"0[0-9]{1,3}-[0-9]{3,4}-[0-9]{4}|04[0-9]{2} [0-9]{3} [0-9]{3}",  # Japan, Korea, Australia
    r"[6789][0-9]{2} [0-9]{2} [0-9]{2} [0-9]{2}",  # Spain
    r"\([0-9]{2}\) ?9?[0-9]{4}-[0-9]{4}",  # Brazil
    (
        r"(?:86[- ]?)?1(?:3[0-9]|4[014-9]|5[0-35-9]|6[2567]|7[0-8]|8[0-9]|9[0-35-9])"
        r"(?:[0-9]{8}|[- ][0-9]{4}[- ][0-9]{4})"
    ),  # Chinese mobiles
)
VALUE = r"\+?\(?[0-9](?:[ ().\-/]{0,2}[0-9]){6,14}(?![0-9A-Za-z])"

ADDRESS = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
VERSION = re.compile(
    rf"(?:(?i:(?:version|\bver|release|build|revision|firmware|driver|upgraded?(?: to)?)"
    rf"[\s\"'`{Q}:=^~<>.]{{0,5}}|\bv\.?\s?)|[=~<>^!]=\s?|[~^]|\b[A-Z][A-Za-z]{{2,}}/)\Z"
)
"""What stands left of four numbers that are a version (`Chrome/120.0.0.0`)."""
COUNTED = re.compile(
    r"(?i)(?:[a-z][-_]|§|\b(?:section|sec\.|chapter|clause|article|table|figure|fig\.|step)) ?\Z"
)
"""What stands left of small numbers that count something (`section 1.2.3.4`, `lib-1.2.3.4`)."""
HARMLESS = {"127.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "::"}  # noqa: S104  (nothing is bound)


def address4(match: re.Match[str]) -> Iterator[Span]:
    """Take four valid octets that are no mask, no loopback and no version."""
    text, value = match.string, match.group()
    octets = [int(octet) for octet in value.split(".")]
    if max(octets) > 255 or value in HARMLESS or value.startswith("255.255."):
        return
    if any(len(octet) > 1 and octet[0] == "0" for octet in value.split(".")):
        return
    left = text[max(0, match.start() - 24) : match.start()]
    if not VERSION.search(left) and not (octets[0] < 32 and COUNTED.search(left)):
        yield match.span()


def address6(match: re.Match[str]) -> Iterator[Span]:
    """Take an address of version 6 that is no time, no type and no fingerprint."""
    value = match.group()
    groups = value.split(":")
    short = "::" in value and not re.match("(?i)[23][0-9a-f]{3}:|f[cdef][0-9a-f]{2}:", value)
    if value in HARMLESS or short or all(len(group) == 2 for group in groups):
        return
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return
    yield match.span()


BEHIND = re.compile(r"\(\?<!\[0-9\]\[?([\\.-]+)\]?\)")
"""How a pattern says that it is no part of a longer number: the signs within that."""


def identity_rule(pattern: str, check: Callable[[str], bool]) -> Rule:
    """Make the rule of one kind of identity number; its hint leaves the look-around out."""
    hint = re.sub(r"\(\?<?![^()]*\)", "", pattern).replace("(?P<gap>[ -])", "[ -]")
    behind = BEHIND.match(pattern)
    edge = edge_after(behind[1].replace("\\", "")) if behind else EDGE
    # The Italian code writes letters for digits where two would be equal.
    digits, run = (0, 15) if check is checksums.italian_code else (6 if check is always else 7, 0)
    find, spans = valid(f"{pattern}{END}", check)
    hint = edge + hint.replace("(?P=gap)", "[ -]") + STOP
    return Rule("ID", hint, find, spans, digits=digits, run=run)


RULES = (
    Rule(
        "EMAIL",
        rf"[{LETTERS}0-9._%+-](?:[@]|%40)[{LETTERS}0-9][{LETTERS}0-9.-]*\.[A-Za-z]{{2}}",
        re.compile(
            rf"@(?:[{LETTERS}0-9](?:[{LETTERS}0-9-]{{0,61}}[{LETTERS}0-9])?\.)+"
            r"[A-Za-z]{2,24}(?![A-Za-z0-9_(@])"
        ),
        mail,
        ("@",),
    ),
    Rule(
        "IBAN",
        rf"{EDGE}(?i:{'|'.join(checksums.IBAN_LENGTHS)})[0-9]{{2}}"
        r"(?:[ -]?[A-Za-z0-9]){11}",
        re.compile(rf"{START}[A-Za-z]{{2}}[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{11,30}}"),
        account,
        digits=2,
    ),
    Rule(
        "CARD",
        edge_after(".-") + CARD_SHAPES + STOP,
        *valid(
            rf"(?<![0-9]\.)(?<![0-9]-){CARD_SHAPES}(?![0-9A-Za-z]|-[0-9]+(?![0-9A-Za-z])|\.[0-9])",
            card,
        ),
        digits=13,
    ),
    *(identity_rule(pattern, check) for pattern, check in IDENTITIES),
    Rule(
        "ID",
        rf"(?i:(?:{words_hint(NAMED_ID)}){NUMBER_WORD}{JOIN_HINT})[A-Za-z]{{0,5}}[0-9][ .-]?[0-9]",
        re.compile(
            rf"(?i:{NAMED_ID})(?i:{NUMBER_WORD}{JOIN})"
            r"(?P<value>[A-Za-z]{0,5}[0-9](?:[ .-]?[0-9]){3,18}[A-Za-z]{0,2}(?![0-9A-Za-z]))"
        ),
        named_id,
        ID_WORDS,
        digits=4,
        contextual=True,
    ),
    Rule(
        "PHONE",
        r"(?:\+|%2[Bb])[1-9](?:[ \-./()]{0,2}[0-9]){7}",
        re.compile(r"(?<![0-9A-Za-z_+)\]])\+[1-9](?:[ \-./()]{0,2}[0-9]){7,14}(?![0-9A-Za-z])"),
        international,
        ("+",),
        digits=8,
    ),
    Rule(
        "PHONE",
        f"{edge_after('.-')}(?:{'|'.join(NATIONAL)}){STOP}",
        re.compile(rf"{START}(?<![_+])(?<![0-9][.-])(?:{'|'.join(NATIONAL)}){END}"),
        digits=7,
    ),
    Rule(
        "PHONE",
        rf"(?i:(?:{words_hint(NAMED_PHONE)}){NUMBER_WORD}{JOIN_HINT})"
        r"\+?\(?[0-9](?:[ ().\-/]{0,2}[0-9]){6}",
        re.compile(rf"(?i:{NAMED_PHONE})(?i:{NUMBER_WORD}{JOIN})(?P<value>{VALUE})"),
        beside,
        PHONE_WORDS,
        digits=7,
        contextual=True,
    ),
    Rule(
        "IP",
        rf"(?:^|[^0-9.]|%[2-7][0-9A-Fa-f]|\\u[0-9A-Fa-f]{{4}}){ADDRESS}",
        re.compile(rf"(?<![0-9.]){ADDRESS}(?!\.?[0-9A-Za-z_]|[-+][A-Za-z])"),
        address4,
        (".",),
        digits=4,
    ),
    Rule(
        "IP",
        r"(?i:(?:[23][0-9a-f]{3}|f[cdef][0-9a-f]{2}):[0-9a-f]{0,4}:|[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7})",
        re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Za-z:])"),
        address6,
        (":",),
    ),
)
