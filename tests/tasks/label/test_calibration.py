"""Calibration is counted in bins, which add up and can be drawn."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tasks.label.calibration import bins, expected_calibration_error, plot, reliability_table

SVG = "{http://www.w3.org/2000/svg}"
# Bin .7-.8: .75 twice, one right. Bin .1-.2: .15 twice, none right.
PREDICTED = np.array([0.75, 0.75, 0.15, 0.15])
SUCCEEDED = np.array([True, False, False, False])


def test_calibration_error_is_the_mean_gap():
    # Gaps of .75 - .5 = .25 and .15, two predictions each: .2.
    assert expected_calibration_error(bins(PREDICTED, SUCCEEDED)) == pytest.approx(0.2)


def test_larger_bins_weigh_more():
    # Three at .9 that all succeed: gap .1. One at .4 that succeeds: gap .6. (3 * .1 + .6) / 4.
    counted = bins(np.array([0.9, 0.9, 0.9, 0.4]), np.ones(4, dtype=bool))
    assert expected_calibration_error(counted) == pytest.approx(0.225)


def test_gaps_in_one_bin_cancel_and_across_bins_do_not():
    # .5 twice, one right: no gap. .0 right and 1.0 wrong: gaps of 1 each.
    assert expected_calibration_error(bins(np.array([0.5, 0.5]), SUCCEEDED[:2])) == 0
    assert expected_calibration_error(bins(np.array([0.0, 1.0]), SUCCEEDED[:2])) == 1


def test_without_predictions_there_is_no_calibration_error():
    counted = bins(np.array([np.nan]), np.array([True]))
    assert expected_calibration_error(counted) is None
    assert counted.shape == (10, 3)
    assert expected_calibration_error(np.zeros((10, 3))) is None


def test_a_bin_holds_its_lower_edge_and_the_last_both():
    counted = bins(np.array([0.0, 0.1, 0.5, 0.99, 1.0]), np.ones(5, dtype=bool))
    assert counted[:, 0].tolist() == [1, 1, 0, 0, 0, 1, 0, 0, 0, 2]


def test_bins_of_nights_add_up_and_can_be_taken_back():
    chance = np.random.default_rng(0)
    predicted = np.where(chance.random(500) < 0.1, np.nan, chance.random(500))
    succeeded = chance.random(500) < 0.5
    nights = bins(predicted[:200], succeeded[:200]) + bins(predicted[200:], succeeded[200:])
    assert nights == pytest.approx(bins(predicted, succeeded))
    rest = nights - bins(predicted[:200], succeeded[:200])
    assert rest == pytest.approx(bins(predicted[200:], succeeded[200:]))


def test_well_calibrated_predictions_have_a_small_error():
    chance = np.random.default_rng(1)
    predicted = chance.random(50_000)
    counted = bins(predicted, chance.random(50_000) < predicted)
    assert expected_calibration_error(counted) < 0.015
    # Twice as far from the middle, they are overconfident. The half that comes to lie at 0 or 1 is
    # 1 / 8 off on average, and so is the half between (from 1 / 4 off at its ends to none).
    bold = np.clip(2 * predicted - 0.5, 0, 1)
    wrong = expected_calibration_error(bins(bold, chance.random(50_000) < predicted))
    assert wrong == pytest.approx(0.125, abs=0.01)


def test_the_table_names_each_bin_and_its_means():
    table = reliability_table(bins(PREDICTED, SUCCEEDED))
    assert len(table) == 10
    assert table[7] == {"from": 0.7, "to": 0.8, "n": 2, "predicted": 0.75, "observed": 0.5}
    assert table[0] == {"from": 0.0, "to": 0.1, "n": 0, "predicted": None, "observed": None}


def test_the_diagram_has_a_point_and_a_bar_for_each_bin_that_holds_any():
    drawing = ET.fromstring(plot(bins(PREDICTED, SUCCEEDED)))
    assert drawing.tag == f"{SVG}svg"
    points = drawing.findall(f"{SVG}circle")
    assert [point[0].text for point in points] == [
        "2: predicted 15.0%, verified 0.0%",
        "2: predicted 75.0%, verified 50.0%",
    ]
    # The drawing is 280 wide from 46 and 230 high above 260: .75 lies at 256, .5 at 145.
    assert (points[1].get("cx"), points[1].get("cy")) == ("256.0", "145.0")
    assert len(drawing.findall(f"{SVG}rect")) == 2
    assert "ECE 20.0%" in drawing.get("aria-label")


def test_points_of_perfect_predictions_lie_on_the_diagonal():
    predicted = np.array([0.25] * 4 + [0.75] * 4)
    succeeded = np.array([True, False, False, False, True, True, True, False])
    drawing = ET.fromstring(plot(bins(predicted, succeeded)))
    (diagonal,) = [line for line in drawing.findall(f"{SVG}line") if line.get("stroke-dasharray")]
    x1, x2, y1, y2 = (float(diagonal.get(name)) for name in ("x1", "x2", "y1", "y2"))
    for point in drawing.findall(f"{SVG}circle"):
        along = (float(point.get("cx")) - x1) / (x2 - x1)
        assert float(point.get("cy")) == pytest.approx(y1 + along * (y2 - y1), abs=0.2)


def test_the_diagram_of_nothing_is_an_empty_frame():
    drawing = ET.fromstring(plot(np.zeros((10, 3))))
    assert drawing.findall(f"{SVG}circle") == []
    assert drawing.findall(f"{SVG}rect") == []
    assert "ECE" not in drawing.get("aria-label")


def test_every_colour_of_the_diagram_has_a_fallback_without_a_page():
    text = plot(bins(PREDICTED, SUCCEEDED))
    assert text.count("var(--") == text.count(",#")
    assert "<style" not in text
