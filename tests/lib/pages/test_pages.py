"""Labels of boxes on a picture."""

from scripts.lib.pages import DrawnBox, PagePicture


def test_labels_of_wide_letters_do_not_overlap_and_stay_in_the_picture():
    boxes = [DrawnBox(x, 0.5, 0.1, 0.1, label="大きい魚 0.90", colour="#000000") for x in (0.1, 0.3, 0.9)]
    labels = PagePicture("data:,", 160, 90, boxes, title="", why="", link=None).labels
    assert len(labels) == 2
    assert labels[0].width == 13 * 0.019
    assert labels[1].x + labels[1].width <= 1
