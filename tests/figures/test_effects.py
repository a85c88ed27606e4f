"""The dots of an effect lie where the numbers say, one row for each reader."""

from stc_core.figures.effects import effect_dots


def test_each_reader_has_a_row_with_its_change_and_its_random_sets():
    changes = {"this classifier": 0.3, "last layer": 0.1}
    random = {"this classifier": (0.1, 0.2), "last layer": (0.15,)}
    others, ours = effect_dots(changes, random, sets="random sets").data
    assert list(ours.x) == [0.3, 0.1]
    assert list(ours.text) == ["0.300", "0.100"]
    assert list(others.x) == [0.1, 0.2, 0.15]
    first, second = ours.y
    assert list(others.y) == [first, first, second] and first != second
    assert others.name == "random sets"


def test_without_random_sets_only_the_changes_are_drawn():
    others, ours = effect_dots({"last layer": 0.2}, {}, sets="random sets").data
    assert not len(others.x) and list(ours.x) == [0.2]
