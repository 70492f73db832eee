"""Pieces of evidence as arrays: folded into lists and back, weighed so that they add up."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.label_config import LabelConfig
from tasks.label.evidence import (
    EVIDENCE,
    columns_of,
    joined,
    lists,
    matrix,
    nothing,
    outcomes,
    pieces,
    shown_in_messages,
    toward,
    unfolded,
    weighed,
)
from tasks.label.signals import COLUMN, KINDS
from tasks.label.verdicts import VERIFIED_LOG_ODDS, verdicts
from tasks.label.weights import Counts, sigmoid, weigh

EARLY = datetime(2000, 1, 1, tzinfo=UTC)
NAMES = [*COLUMN, "outcome", "a kind that is no more"]
FOUND = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(NAMES),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.floats(0.01, 1),
        st.one_of(st.none(), st.integers(0, 30_000).map(lambda n: EARLY + timedelta(days=n))),
    ),
    max_size=12,
)


def made(rows):
    """Make pieces of tuples (row, kind, value, share, at), in the order of their episodes."""
    if not rows:
        return nothing()
    row, kind, value, share, at = zip(*rows, strict=True)
    return joined(
        [
            pieces(
                np.array(row),
                pa.array(kind),
                pa.array([f"signal {n}" for n in range(len(rows))]),
                np.array(value),
                share=np.array(share),
                at=pa.array(at, pa.timestamp("us", "UTC")),
            )
        ]
    )


def told(found):
    """Give the columns of pieces as lists."""
    return [
        found.row.tolist(), found.kind.to_pylist(), found.source.to_pylist(), found.value.tolist(),
        found.share.tolist(), found.at.to_pylist(),
    ]  # fmt: skip


@given(FOUND)
def test_folding_into_lists_and_back_changes_nothing(rows):
    found = made(rows)
    folded = lists(found, np.zeros(found.size), 4)
    assert (len(folded), folded.type) == (4, EVIDENCE)
    assert told(unfolded(folded, np.arange(4))) == told(found)


def test_lists_that_were_cut_or_are_missing_unfold_in_place():
    found = made([(0, "thumbs_up", 1.0, 1.0, None), (2, "export", 1.0, 0.5, None)])
    folded = lists(found, np.array([0.1, 0.2]), 3)
    assert told(unfolded(folded.slice(2), np.array([7])))[:2] == [[7], ["export"]]
    lacking = pa.array([None, []], EVIDENCE)
    assert unfolded(lacking, np.arange(2)).size == 0


def test_evidence_of_an_older_release_has_no_source_and_counts_whole():
    old = pa.array([[{"kind": "export", "value": 1.0, "weight": 1.0}]], EVIDENCE)
    found = unfolded(old, np.array([0]))
    assert (found.source.to_pylist(), found.share.tolist()) == ([""], [1.0])


def test_a_matrix_holds_the_strongest_piece_of_each_kind():
    found = made(
        [
            (1, "thumbs_up", 1.0, 0.25, None),
            (1, "thumbs_up", 1.0, 0.75, None),
            (0, "outcome", 1.0, 1.0, None),
            (0, "a kind that is no more", 1.0, 1.0, None),
        ]
    )
    share = matrix(found, 2, KINDS)
    assert share.shape == (2, len(KINDS))
    assert share[1, COLUMN["thumbs_up"]] == 0.75
    assert share.sum() == 0.75
    assert columns_of(found, KINDS).tolist() == [-1, -1, 0, 0]


def test_the_newest_outcome_counts_and_one_without_a_time_only_alone():
    early, late = EARLY, EARLY + timedelta(days=1)
    found = made(
        [
            (0, "outcome", 1.0, 1.0, late),
            (0, "outcome", 0.0, 1.0, early),
            (0, "outcome", 0.5, 1.0, None),
            (1, "outcome", 0.5, 1.0, None),
            (1, "outcome", 1.0, 1.0, None),
            (2, "export", 1.0, 1.0, None),
        ]
    )
    assert outcomes(found, 4).tolist() == pytest.approx([1.0, 1.0, np.nan, np.nan], nan_ok=True)
    assert outcomes(nothing(), 1).tolist() == pytest.approx([np.nan], nan_ok=True)


def test_a_kind_that_is_no_more_silences_nobody_elses_outcome():
    found = made([(0, "outcome", 0.0, 1.0, None), (1, "a kind that is no more", 1.0, 1.0, None)])
    weight = weighed(found, np.zeros((2, len(KINDS))), KINDS, np.array([-4.6, 0.0]))
    assert weight.tolist() == [-4.6, 0.0]


@given(FOUND)
def test_prior_silence_and_weights_of_pieces_add_up_to_the_verdict(rows):
    found = made(rows)
    config = LabelConfig(min_support=1)
    given_kinds = len(KINDS)
    counts = Counts(
        np.linspace(0, 20, given_kinds), np.linspace(30, 1, given_kinds), np.array([30.0, 40.0])
    )
    weights = weigh(counts, KINDS, config)
    share, outcome = matrix(found, 4, KINDS), outcomes(found, 4)
    judged = verdicts(share, outcome, np.zeros(4, bool), weights, KINDS, config)
    verified = np.where(outcome >= 0.999, VERIFIED_LOG_ODDS, -VERIFIED_LOG_ODDS)
    weight = weighed(found, judged.contribution, KINDS, verified)
    sums = np.bincount(found.row, weights=weight, minlength=4)
    known = ~np.isnan(outcome)
    # A verified outcome speaks in the place of all else, by one piece of it.
    assert sums[known].tolist() == pytest.approx(verified[known].tolist())
    labelled = ~np.isnan(judged.success) & ~known
    whole = sums + judged.silence + weights.prior
    np.testing.assert_allclose(
        sigmoid(whole[labelled]), judged.success[labelled], rtol=1e-9, atol=1e-12
    )


def test_of_equal_kinds_one_piece_weighs_and_the_strongest_does():
    found = made([(0, "export", 1.0, 0.5, None), (0, "export", 1.0, 1.0, None)])
    contribution = np.zeros((1, len(KINDS)))
    contribution[0, COLUMN["export"]] = 1.5
    assert weighed(found, contribution, KINDS, np.zeros(1)).tolist() == [0.0, 1.5]


def test_what_messages_show_speaks_for_what_its_kind_does():
    shown = {"thanks_said": np.array([True, False, True]), "loop": np.array([False, False, True])}
    found = joined([nothing(), *shown_in_messages(shown, KINDS)])
    assert told(found)[:4] == [
        [0, 2, 2], ["thanks_said", "thanks_said", "loop"], ["messages"] * 3, [1.0, 1.0, -1.0],
    ]  # fmt: skip
    assert shown_in_messages({"loop": np.array([False])}, KINDS) == []
    assert {toward(kind) for kind in KINDS} == {1.0, -1.0}
