"""Accuracy of found boxes, compared with results computed by hand."""

import pytest

from scripts.lib.evaluation.accuracy import (
    LabeledBox,
    Sweep,
    average_precision,
    by_threshold,
    confusion,
    match_boxes,
    mean_ap50,
)
from scripts.lib.records.evaluation import AtThreshold, BestF1

A, B = (1, 0), (1, 1)
HERE, NEAR, FAR = (0.0, 0.0, 10.0, 10.0), (1.0, 0.0, 10.0, 10.0), (50.0, 50.0, 10.0, 10.0)
TRUTH = [LabeledBox(A, HERE, "cod"), LabeledBox(A, FAR, "crab"), LabeledBox(B, HERE, "cod")]


def found(*boxes):
    return [LabeledBox(*box) for box in boxes]


def test_each_box_has_a_verdict():
    boxes = found((A, HERE, "cod", 0.9), (A, NEAR, "cod", 0.8), (A, FAR, "cod", 0.7), (B, FAR, "crab", 0.6))
    matches, missed = match_boxes(TRUTH, boxes, 0.5, by_species=False)
    assert [each.verdict for each in matches] == ["right", "double", "confused", "false alarm"]
    assert missed == [TRUTH[2]]
    assert confusion(matches, missed) == {("cod", "cod"): 1, ("crab", "cod"): 1, (None, "crab"): 1, ("cod", None): 1}


def test_by_species_a_wrong_species_is_a_false_alarm():
    matches, missed = match_boxes(TRUTH, found((A, FAR, "cod", 0.7)), 0.5, by_species=True)
    assert [each.verdict for each in matches] == ["false alarm"]
    assert missed == TRUTH


def test_a_box_is_matched_with_the_true_box_of_largest_iou():
    truth = [LabeledBox(A, HERE, "cod"), LabeledBox(A, (4.0, 0.0, 10.0, 10.0), "cod")]
    matches, missed = match_boxes(truth, found((A, (3.0, 0.0, 10.0, 10.0), "cod", 0.9)), 0.5, by_species=True)
    assert matches[0].truth is truth[1]
    assert missed == [truth[0]]


def test_the_threshold_with_the_best_f1():
    boxes = found((A, HERE, "cod", 0.9), (B, HERE, "cod", 0.6), (B, FAR, "cod", 0.5), (A, FAR, "cod", 0.4))
    matches, _ = match_boxes(TRUTH, boxes, 0.5, by_species=True)
    assert Sweep.of(matches, 2).best() == BestF1(threshold=0.6, f1=1.0, precision=1.0, recall=1.0)
    assert Sweep.of([], 2).best() is None
    table = by_threshold(matches, 3, 0.5)
    assert [line.threshold for line in table][:2] == [0.5, 0.55]
    assert table[0] == AtThreshold(
        threshold=0.5, precision=0.6667, recall=0.6667, f1=0.6667, right=2, false_alarms=1, double_counts=0, missed=1
    )


def test_equal_scores_are_counted_together():
    matches, _ = match_boxes(TRUTH, found((A, HERE, "cod", 0.5), (B, FAR, "cod", 0.5)), 0.5, by_species=True)
    assert Sweep.of(matches, 2).best().precision == 0.5


def test_any_number_of_boxes_in_a_picture_counts():
    """A picture that was cut into tiles may have more boxes than a network gives at once."""
    places = [(20.0 * (at % 30), 20.0 * (at // 30), 10.0, 10.0) for at in range(600)]
    many = [LabeledBox((1, 0), place, "cod", 1 - at / 1000) for at, place in enumerate(places)]
    assert average_precision(many, many)["cod"] == pytest.approx((1.0, 1.0))


def test_boxes_in_a_crowd_are_neither_right_nor_wrong():
    """As in pycocotools: a crowd cannot be missed, and boxes in it are ignored unless they match a true box."""
    crowd = LabeledBox(A, (40.0, 0.0, 100.0, 100.0), "cod", is_crowd=True)
    boxes = found(
        (A, HERE, "cod", 0.9), (A, (45.0, 5.0, 10.0, 10.0), "cod", 0.95), (A, (32.0, 0.0, 10.0, 9.0), "cod", 0.8)
    )
    for by_species in (True, False):
        matches, missed = match_boxes([TRUTH[0], crowd], boxes, 0.5, by_species=by_species)
        assert [(each.box, each.verdict) for each in matches] == [(boxes[0], "right"), (boxes[2], "false alarm")]
        assert missed == []
    assert average_precision([TRUTH[0], crowd], boxes) == {"cod": pytest.approx((1.0, 1.0))}
    assert average_precision([crowd], boxes) == {}


def test_a_box_of_any_size_counts():
    huge = [LabeledBox(A, (0.0, 0.0, 2e5, 2e5), "cod", 0.9)]
    assert average_precision(huge, huge)["cod"] == pytest.approx((1.0, 1.0))


def test_the_box_that_defines_the_best_threshold_reaches_it():
    matches, _ = match_boxes(TRUTH[:1], found((A, HERE, "cod", 0.612345)), 0.5, by_species=True)
    assert Sweep.of(matches, 1).best().threshold == 0.612345


def test_average_precision():
    perfect = [LabeledBox(box.picture, box.xywh, box.species, 0.9) for box in TRUTH]
    assert average_precision(TRUTH, perfect) == {name: pytest.approx((1.0, 1.0)) for name in ("cod", "crab")}
    near = average_precision(TRUTH[:1], found((A, NEAR, "cod", 0.9)))  # IoU 9/11: right at 0.5 to 0.8
    assert near["cod"] == pytest.approx((1.0, 0.7))
    assert mean_ap50(TRUTH, perfect[:2]) == pytest.approx((51 / 101 + 1) / 2)


@pytest.mark.parametrize("boxes", [[], found((A, HERE, "eel", 0.9))])
def test_no_correct_box(boxes):
    assert average_precision(TRUTH, boxes) == {"cod": (0.0, 0.0), "crab": (0.0, 0.0)}
    assert mean_ap50([], boxes) == 0.0
