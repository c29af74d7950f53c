"""YAML of strangers: plain values of a size that people write, or one line that says why not."""

import os
import time
from pathlib import Path

import pytest
import yaml

from glimpse_lab.recipes import RECIPES
from glimpse_lab.yaml_files import LARGEST, YamlError, parse_yaml, read_yaml


def bomb(level: str, top: str, n: int = 9) -> str:
    """Lists of ten aliases of lists of ten aliases and so on."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * 10) + "]"]
    lines += [f"a{k}: &a{k} " + level.format(", ".join([f"*a{k - 1}"] * 10)) for k in range(1, n)]
    return "\n".join([*lines, top.format(f"*a{n - 1}")])


MERGES = "\n".join(
    ["a0: &a0 {k: 1}"]
    + [f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 10)}]}}" for k in range(1, 9)]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb("[{}]", "n_envs: {}"), "more than 20,000 values"),
        (MERGES, "more than 20,000 values"),
        ("[" * 20_000, "nested more than 32"),
        ("[" * 20_000 + "]" * 20_000, "nested more than 32"),
        ("{a: " * 20_000, "nested more than 32"),
        ("- " * 20_000, "nested more than 32"),
        ("? " * 20_000, "nested more than 32"),
        ("\n".join(" " * k + "a:" for k in range(600)), "nested more than 32"),
        ("&a [*a]", "holds itself"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is there twice \\(line 3\\)"),
        ("{x: {k: 1, k: 1}}", "the key 'k' is there twice"),
        ("!!int ''", "does not fit its tag"),
        ("!!bool maybe", "does not fit its tag"),
        ("!!timestamp x", "does not fit its tag"),
        ("&a {b: *a}", "holds itself"),
        ("x" * (LARGEST + 1), "longer than"),
        ("[" + "1, " * 30_000 + "1]", "more than 20,000 values"),
        ("9" * 5_000, "digits"),
        ("2001-99-99", "month"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("{[1, 2]: 3}", "unhashable"),
        ("a: b: c", "line 1, column"),
        ("[1", "line 1, column"),
        ("*nothing", "undefined alias"),
        ("a: \x07", "special characters"),
    ],
)
def test_what_is_too_much_or_broken_is_said_in_one_line_and_soon(text: str, message: str) -> None:
    begun = time.monotonic()
    with pytest.raises(YamlError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert time.monotonic() - begun < 5.0


@pytest.mark.parametrize("file", sorted(RECIPES.rglob("*.yml")), ids=lambda file: file.name)
def test_our_own_files_are_read_as_ever(file: Path) -> None:
    assert read_yaml(file) == yaml.safe_load(file.read_text())


def test_aliases_and_merges_of_a_usual_size_are_read() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 1, "y": 2},
    }
    assert parse_yaml("") is None and parse_yaml("[[[[[1]]]]]") == [[[[[1]]]]]


def test_pipes_devices_folders_and_long_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b" " * (LARGEST + 1))
    (tmp_path / "latin").write_bytes(b"a: \xe9")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "long"):
        with pytest.raises(OSError, match=r"regular file|wanted at most|directory"):
            read_yaml(path)
    with pytest.raises(YamlError):
        read_yaml(tmp_path / "latin")
