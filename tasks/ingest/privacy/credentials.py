"""Rules for what opens doors: private keys, connection strings, provider keys, passwords."""

# ruff: noqa: RUF001  (full-width punctuation stands beside Chinese words)

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from tasks.ingest.privacy.rule import COLOUR, EDGE, ESCAPED_QUOTES, START, Rule, Span, hinted

Q = ESCAPED_QUOTES
QUOTES = f"\"'`{Q}"

PROVIDER_KEYS = (
    r"sk-(?:proj|svcacct|admin|ant|or|lf)-[\w-]{20,}",
    r"sk-[A-Za-z0-9]{20,}",
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    r"gh[opsur]_[A-Za-z0-9]{30,}",
    r"github_pat_\w{22,}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[\w-]{20,}",
    r"xox[abeoprs]-[\w-]{10,}",
    r"xapp-[0-9]-[\w-]{10,}",
    r"AIza[\w-]{30,}",
    r"ya29\.[\w-]{20,}",
    r"GOCSPX-[\w-]{20,}",
    r"1//0[\w-]{30,}",
    r"(?:hf|npm|gsk|dckr_pat|lin_api|ntn|r8|figd|sbp|nfp|glsa|glc|pul|pcsk|sq0[a-z]{3})[_-]\w{24,}",
    r"pypi-[\w-]{40,}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}",
    r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}",
    r"whsec_[\w+/=]{20,}",
    r"do[opr]_v1_[0-9a-f]{40,}",
    r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}",
    r"(?:dapi|key-|SK)[0-9a-f]{32}",
    r"[0-9a-f]{32}-us[0-9]{1,2}",
    r"(?:xai|pplx|tvly|nvapi|PMAK|NRAK|rubygems)[_-][\w-]{20,}",
    r"hv[sbr]\.[\w-]{20,}",
    r"(?:lsv2_(?:pt|sk)|sntry[su])_[\w=+/.-]{20,}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{40,}",
    r"ATATT3[\w=-]{30,}",
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?",
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",
    r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}",
    r"[0-9]{8,10}:AA[\w-]{32,}",
)
"""Keys that say by their first letters (or their shape) who gave them out."""

HOOKS = (
    r"hooks\.slack\.com/(?:services|workflows|triggers)/",
    r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/",
    r"api\.telegram\.org/bot",
)
"""Addresses whose path is a secret: who knows it may write."""

PASSWORDS = (
    "passphrase|passwords?|passwd|passcode|passwort|kennwort|pwd|contraseña|mot de passe"
    "|mot_de_passe|senha|密码|密碼|口令|パスワード"
)
"""Words beside which nearly anything is a secret."""

SECRETS = (
    "secrets?|api[_ -]?keys?|access[_ -]?key|account[_ -]?key|private[_ -]?key|signing[_-]?key"
    "|encryption[_-]?key|auth[_-]?key|master[_-]?key|credentials?|密钥|密鑰"
)
"""Words beside which a text that looks random is a secret."""

TOKENS = "tokens?|bearer|sig|令牌"
"""Words that mean other things too: only a long random text beside them is a secret."""

NAMING = (
    "pass", "kennwort", "pwd", "contrase", "senha", "密", "口令", "パスワード", "secret", "key",
    "credential", "token", "bearer", "sig", "令牌",
)  # fmt: skip
"""Texts of which every one of these words holds one, in small letters."""

# Each of its ways to read a text is the only one, and Python may not go back into it.
SUFFIX = r"(?:[_-]?(?:access|key|id|value|base|b64|string|text|[0-9]))*"
ASSIGN = (
    rf"[{QUOTES}\])]{{0,2}}\s{{0,3}}"
    r"(?::=|=>|->|→|={1,3}|[:：>]\s{0,2}[A-Za-z]{2,10}\s{0,2}=(?!=)|[:：>|]|is:?\s|was:?\s|是[:：]?|为[:：]?)\s{0,8}"
)
NAMED = re.compile(
    rf"(?i)(?:(?P<password>{PASSWORDS})|(?P<secret>{SECRETS})|(?P<token>{TOKENS})){SUFFIX}+{ASSIGN}"
)
OPENING = re.compile(rf"(?:[rbufRBUF]{{1,2}}(?=[\"']))?(?P<quote>[{QUOTES}])")
UNQUOTED = re.compile(rf"[^\s\x00-\x1f\x7f{QUOTES},;&|<>(){{}}\[\]，。；、]{{1,1024}}")
SPOKEN = re.compile(rf"[^\s\x00-\x1f\x7f{QUOTES},<>，。；、]{{1,1024}}")
"""What a value is made of after a space: in prose an ampersand separates nothing."""
CALL = re.compile(r"[A-Za-z_][\w.]*[(\[]")
LONGEST = 4096
"""Characters after which a quoted value is taken to have lost its closing quote."""

QUOTED_NAME = re.compile(rf"[{QUOTES}]\]?\s{{0,3}}[:=]")
CLOSING = re.compile(rf'["{Q}]\s{{0,40}}(?:[,:;}}\])]|\Z)')

NO_VALUE = re.compile(
    r"(?i)(?:null|none|nil|undefined|true|false|yes|no|n/?a|optional|required|hidden|redacted"
    r"|pass(?:word|wd)?|secret|token|empty|unknown|invalid|incorrect|wrong|missing"
    r"|(?:(?:n?var)?char|text|string|str|int(?:eger)?|bool(?:ean)?|uuid|bytes|bytea|blob|any|object"
    r"|number|array)(?:\(?\d*\)?)?|[x*.•_-]+|<.*|\[.*|\$.*|\{.*|%[(s].*|:\w+|\?|@\w+|env[:.].*)"
)
"""Values that are no secret: nothing, a type, a mask, or the name of where the secret stands."""

CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
OTHER_TOKENS = re.compile(
    r"(?i)(?:page|cursor|continuation|sync|pad|eos|bos|unk|sep|mask|cls|stop)[_-]?$"
)


def assigned(match: re.Match[str]) -> Iterator[Span]:
    """Give the value that follows a name such as `password`, where it is a secret."""
    text, start = match.string, match.end()
    kind = "password" if match["password"] else "secret" if match["secret"] else "token"
    if kind == "token" and OTHER_TOKENS.search(text[max(0, match.start() - 16) : match.start()]):
        return
    if match.group()[-1:] == "=" and re.search("(?i)passw|pwd|secret", text[start : start + 16]):
        return
    named = QUOTED_NAME.search(match.group())
    if (not named or named[0][0] != text[start : start + 1]) and CLOSING.match(text, start):
        return  # the quote ends the text that the name stands in: `"Enter your password: ", 1`
    span, quoted = value_at(text, start)
    value = text[span[0] : span[1]]
    if not value or NO_VALUE.fullmatch(value):
        return
    if quoted:
        good = strong(kind, value)
    else:
        good = strong_unquoted(kind, value, match.group(), text[span[1] : span[1] + 1])
    if good:
        yield span


def value_at(text: str, start: int) -> tuple[Span, bool]:
    """Find a value from where it starts: within its quotes, or as far as it goes."""
    opening = OPENING.match(text, start)
    if not opening:
        bare = (SPOKEN if text[start - 1].isspace() else UNQUOTED).match(text, start)
        if not bare or CALL.match(bare.group()):
            return (start, start), False
        end = start + len(bare.group().rstrip(".:!?;|)]}"))
        return (start, end), False
    mark, begin = opening["quote"], opening.end()
    # A quote behind fewer backslashes closes an outer text: nothing may reach over it.
    closing = {"'": "'\"\n", "`": '`"\n'}.get(mark, '"\n' if mark == '"' else f'"\ue000-{mark}\n')
    found = re.compile(f"[{closing}]").search(text, begin, begin + LONGEST)
    end = found.start() if found else min(len(text), begin + LONGEST)
    quote_at = text.find('"', begin, end)
    return (begin, end if quote_at < 0 else quote_at), True


def strong(kind: str, value: str) -> bool:
    """Tell whether a quoted value beside such a name is a secret."""
    varied = any(c.isdigit() for c in value) or any(
        not c.isalnum() and c not in " '" for c in value
    )
    if any(c.isspace() for c in value):  # prose, unless a passphrase; one with a digit is taken
        return kind == "password" and len(value) < 64 and any(c.isdigit() for c in value)
    if kind == "password":
        return len(value) >= 3 and not CODE.fullmatch(value)
    if kind == "secret":
        return (len(value) >= 6 and varied and not CODE.fullmatch(value)) or len(value) >= 16
    return random_looking(value)


def strong_unquoted(kind: str, value: str, name: str, after: str) -> bool:
    """Tell whether a bare value beside such a name is a secret: code and prose are not."""
    named = CODE.fullmatch(value) and not any(c.isdigit() for c in value)
    if after in {"(", "["} or named or value.startswith(("/", "~", "\\")):
        return False
    digits = sum(c.isdigit() for c in value)
    varied = digits or any(c in "!@#$%^*+=?" for c in value)
    if kind == "token":
        return random_looking(value)
    if kind == "secret":
        return len(value) >= 8 and bool(digits) and (len(value) >= 16 or not value.isdigit())
    if name.endswith("=") and not name[-2:-1].isspace():
        return len(value) >= 4
    return len(value) >= 4 and bool(varied) and not re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", value)


def random_looking(value: str) -> bool:
    """Tell a token from a word: long, with digits and letters."""
    return (
        len(value) >= 16
        and any(c.isdigit() for c in value)
        and any(c.isalpha() for c in value)
        and not any(c.isspace() for c in value)
    )


def value_group(match: re.Match[str]) -> Iterator[Span]:
    """Take the group `value`, unless it is the name or the place of a secret."""
    if not NO_VALUE.fullmatch(match["value"]):
        yield match.span("value")


def bearer(match: re.Match[str]) -> Iterator[Span]:
    """Take what follows `Bearer` or `Basic` where it is no word."""
    value = match["value"]
    if match["scheme"].lower() == "basic":
        try:
            known = b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
        except (binascii.Error, ValueError):
            known = False
    else:
        known = any(c.isdigit() for c in value)
    if known:
        yield match.span("value")


def private_key(match: re.Match[str]) -> Iterator[Span]:
    """Take a whole PEM block; one cut off as far as it goes, one in many texts piece by piece."""
    text, start = match.string, match.start()
    following = text.find("-----BEGIN", match.end(), start + 40_000)
    limit = following if following >= 0 else start + 40_000
    closing = re.compile(r"-----END [A-Z ]{0,40}-----").search(text, match.end(), limit)
    if closing:
        end = closing.end()
    else:
        body = re.compile(rf"[\w+/=\s:,.\-{QUOTES}]*").match(text, match.end(), limit)
        end = body.end() if body else match.end()
    for piece in re.compile(rf'[^"{Q}]+').finditer(text, start, end):
        if closing is None or len(piece.group().strip(" ,\n\r\t")) >= 4:
            stripped = piece.group().rstrip()
            if len(stripped) >= 4:
                yield piece.start(), piece.start() + len(stripped)


PAIRED = "pass(?:word|wd|phrase)|secret|token|api_?key|access_?key|pwd"
"""Names of secrets whose value stands apart: `{"name": "DB_PASSWORD", "value": ...}`."""

USERINFO_HINT = r"(?::|%3[Aa])(?:\\*/|%2[Ff]){2}[^\s/@:\"'<>]*(?::|%3[Aa])[^\s\"'<>]+(?:@|%40)"
USERINFO = re.compile(rf"://(?P<value>[^\s/@:{QUOTES}<>]*:[^\s/{QUOTES}<>]+@[\w.\-:\[\],%]*[\w\]])")
DATABASE = re.compile(  # their passwords are often pasted as they are, with slashes and all
    r"(?i)(?:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqps?|mssql|clickhouse|srv)"
    rf"(?:\+\w{{2,16}})?://(?P<value>[^\s/@:{QUOTES}<>]*:[^\s@{QUOTES}<>]{{1,200}}@[\w.\-:\[\],%]*[\w\]])"
)

RULES = (
    Rule(
        "PRIVATE_KEY",
        r"-----BEGIN [A-Z ]*PRIVATE KEY",
        re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
        private_key,
        ("private key",),
    ),
    Rule(
        "CONNECTION",
        USERINFO_HINT,
        USERINFO,
        value_group,
        ("://",),
    ),
    Rule("CONNECTION", USERINFO_HINT, DATABASE, value_group, ("://",)),
    Rule(
        "CONNECTION",
        r"thin:[^\s/@:]+\\*/[^\s/@:]+@",
        re.compile(
            rf"(?i)oracle:thin:(?P<value>[^\s/@:{QUOTES}]{{1,64}}/[^\s/@:{QUOTES}]{{1,128}}@[\w/.:-]*\w)"
        ),
        value_group,
        ("thin:",),
    ),
    Rule(
        "KEY",
        f"{EDGE}(?:{'|'.join(PROVIDER_KEYS)})",
        re.compile(f"{START}(?:{'|'.join(PROVIDER_KEYS)})"),
        run=15,
    ),
    Rule(
        "KEY",
        "(?:" + "|".join(hook.replace("/", r"\\*/") for hook in HOOKS) + ")",
        re.compile(f"(?:{'|'.join(HOOKS)})(?P<value>[\\w/:-]{{16,}})"),
        value_group,
        ("hooks", "telegram"),
    ),
    Rule(
        "SECRET",
        r"(?i:authorization|bearer|basic)\W{1,12}(?i:bearer|basic|token|digest|apikey)?\s*[\w+/=.~\\-]{6}",
        re.compile(
            rf"(?ia)authorization[{QUOTES}]?\s{{0,2}}[:=]\s{{0,2}}[{QUOTES}]?\s?"
            rf"(?:(?:bearer|basic|token|digest|apikey)\s+)?(?P<value>[\w+/=.~-]{{6,}})"
        ),
        value_group,
        ("authorization",),
        contextual=True,
    ),
    Rule(
        "SECRET",
        rf"(?i:bearer|basic)(?:{COLOUR}|\s|\\+[nrtbf])+[\w+/=.~-]{{8}}",
        re.compile(r"(?ia)\b(?P<scheme>bearer|basic)\s+(?P<value>[\w+/.~-]{8,}={0,2})"),
        bearer,
        ("bearer", "basic"),
        contextual=True,
    ),
    Rule(
        "SECRET",
        r"(?i:--(?:password|passwd|passphrase|token|secret|api-key)\s|curl.*(?:-u|--user)"
        r"|identified by|password\s+'|login\s)",
        re.compile(
            rf"(?i)(?:--(?:password|passwd|passphrase|token|secret|api-key)\s+[{QUOTES}]?"
            rf"|curl\b.{{0,200}}?\s(?:-u|--user)\s?[{QUOTES}]?[^\s:{QUOTES}]{{1,64}}:"
            r"|\bidentified by\s+'|\bpassword\s+'|\blogin\s+\S{1,64}\s+password\s+)"
            rf"(?P<value>[^\s{QUOTES},;&|<>(){{}}-][^\s{QUOTES},;&|<>(){{}}]{{3,}})"
        ),
        value_group,
        ("--", "curl", "identified", "password"),
        contextual=True,
    ),
    Rule(
        "SECRET",
        rf"(?i:(?:{PAIRED})\w{{0,12}}[\\\\\"']+\s{{0,3}}(?:,\s{{0,40}}|\s)(?:\\\\n\s*)?[\\\\\"']*value)",
        re.compile(
            rf"(?i)(?:name|key)[{QUOTES}]?\s{{0,3}}[:=]\s{{0,3}}[{QUOTES}]\w{{0,64}}?"
            rf"(?:{PAIRED})\w{{0,12}}[{QUOTES}]\s{{0,3}}(?:,|\s)\s{{0,40}}[{QUOTES}]?value[{QUOTES}]?\s{{0,3}}[:=]\s{{0,3}}"
            rf"[{QUOTES}](?P<value>[^\s{QUOTES}]{{3,}})"
        ),
        value_group,
        ("value",),
        contextual=True,
    ),
    Rule(
        "SECRET",
        "(?i:"
        + "|".join(
            word if word.isascii() else hinted(word)
            for word in f"{PASSWORDS}|{SECRETS}|{TOKENS}".split("|")
        )
        + rf"){SUFFIX}(?:{COLOUR}|\\+[nrtbf]|%2[0-9A-Fa-f]|[\\\"'`\])\s])*"
        r"(?i:[:=：>|→]|->|%3[ad]|\\+u(?:ff1a|662f|4e3a|2192)|(?:is|was)\b|是|为)",
        NAMED,
        assigned,
        NAMING,
        contextual=True,
    ),
)
