"""Settings by dotted keys: nothing is changed in place."""

import pytest

from glimpse_lab.dotted import flatten, is_key, last_name, with_value


def test_a_value_is_changed_in_a_copy() -> None:
    tree = {"a": {"b": {"c": 1}, "d": 2}, "e": None}
    assert with_value(tree, "a.b.c", 3) == {"a": {"b": {"c": 3}, "d": 2}, "e": None}
    assert with_value(tree, "e.f", 3)["e"] == {"f": 3}
    assert with_value(tree, "g.h", 3)["g"] == {"h": 3}
    assert with_value(with_value(tree, "a.d", 4), "a", 5) == {"a": 5, "e": None}
    assert tree == {"a": {"b": {"c": 1}, "d": 2}, "e": None}


def test_what_has_no_keys_is_not_reached_inside() -> None:
    with pytest.raises(ValueError, match="inside of 'b', which is 1 and has no keys"):
        with_value({"a": {"b": 1}}, "a.b.c", 2)


def test_all_values_by_their_keys() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, "e": [2]}) == {"a.b.c": 1, "a.d": {}, "e": [2]}


def test_names_of_keys() -> None:
    assert is_key("a.b") and not is_key("a.") and not is_key("") and not is_key("a..b")
    assert last_name("a.b.c") == "c" and last_name("a") == "a"
