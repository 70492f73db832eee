"""The configuration reference is readable by people who do not write Python."""

from typing import Literal

from pydantic import Field

from schemas.reference import configuration_markdown, row, sections, type_name
from schemas.section import Section


class Inner(Section):
    """Something inside."""

    share: float | None = Field(0.5, ge=0, lt=1)
    """A share;
    None is none of it."""


class Outer(Section):
    """Something with a part."""

    mode: Literal["a", "b"] = "a"
    """Which."""
    inner: Inner = Inner()
    """The part."""


def test_a_row_has_key_type_bounds_default_and_meaning() -> None:
    field = Inner.model_fields["share"]
    assert row("inner.share", field) == (
        "| `inner.share` | number or none, ≥ 0, < 1 | `0.5` | A share; None is none of it. |\n"
    )


def test_sections_are_walked_with_their_dotted_path() -> None:
    assert list(sections("", Outer)) == [("", Outer), ("inner", Inner)]


def test_types_are_named_in_plain_words() -> None:
    names = {
        int: "integer",
        str: "text",
        bool: "true or false",
        tuple[str, ...]: "list of text",
        dict[str, int]: "mapping",
        Literal["a", "b"]: "`a` \\| `b`",
    }
    assert {kind: type_name(kind) for kind in names} == names


def test_both_kinds_of_policy_are_in_the_reference() -> None:
    text = configuration_markdown()
    assert "`train.policy.hidden_size`" in text
    assert "`train.policy.lora_rank`" in text
