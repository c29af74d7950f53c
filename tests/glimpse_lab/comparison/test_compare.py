"""Comparisons of runs on the same images and of groups over seeds; their tables and files."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glimpse_envs.metrics.episodes import Episodes
from glimpse_lab.comparison.compare import Comparison, Entry, compare
from glimpse_lab.comparison.report import comparison_table, write_comparison
from glimpse_lab.comparison.settings import differing, flat, run_settings
from glimpse_lab.evaluation.significance import mcnemar, welch

N = 200
LABELS = np.arange(N) % 10


def episodes(right: int | np.ndarray, glimpses: int = 3) -> Episodes:
    """Episodes of N images, of which the first so many (or those marked) are named rightly."""
    marked = np.arange(N) < right if isinstance(right, int) else right
    predictions = np.where(marked, LABELS, (LABELS + 1) % 10)
    answers = np.full((N, 5), -1)
    answers[:, glimpses - 1 :] = predictions[:, None]
    taken = np.full(N, glimpses)
    coverage, rewards = np.full(N, 0.5, np.float32), marked.astype(np.float32)
    return Episodes(LABELS, predictions, taken, 64 * taken, coverage, rewards, answers, 1024)


def entry(name: str, right: int | np.ndarray = 150, **changes) -> Entry:
    glimpses = changes.pop("glimpses", 3)
    given = {"env": "GlimpseDigits-MultiCat-v0", "seed": 0, "shown": "digits, test split"}
    return Entry(
        name=name, index=np.arange(N), paths=episodes(right, glimpses), **{**given, **changes}
    )


def test_a_run_and_its_copy_differ_by_nothing() -> None:
    result = compare([entry("a"), entry("b")])
    (pair,) = result.pairs
    assert pair.p_accuracy == pair.holm_accuracy == pair.p_glimpses == pair.holm_glimpses == 1
    assert pair.accuracy.value == pair.glimpses.value == 0
    (group,) = result.groups
    assert group.seeds == (0,) and group.accuracy.low is None  # no second seed
    assert any("same seed 0" in note for note in result.notes)


def test_a_pair_counts_the_images_on_which_it_differs() -> None:
    result = compare([entry("a", 120), entry("b", 150, glimpses=4)])
    (pair,) = result.pairs
    assert (pair.only_first, pair.only_second, pair.n_images) == (0, 30, N)
    assert pair.p_accuracy == mcnemar(0, 30) and pair.accuracy.value == pytest.approx(-0.15)
    assert pair.glimpses.value == pair.glimpses.low == -1 and pair.p_glimpses < 1e-9
    first, second = result.rows
    assert first.accuracy == 0.6 and first.accuracy_ci95[0] < 0.6 < first.accuracy_ci95[1]
    assert (first.mean_samples, second.mean_samples) == (192, 256)
    assert first.sample_fraction == 192 / 1024 and first.coverage == 0.5
    assert first.accuracy_per_sample == pytest.approx(0.6 / 192)


def test_holm_goes_over_all_pairs() -> None:
    a, b, c = entry("a", 150), entry("b", 156), entry("c", 160)
    alone = compare([a, c]).pairs[0]
    result = compare([a, b, c])
    p = {(pair.first, pair.second): pair for pair in result.pairs}
    assert p["a", "c"].p_accuracy == alone.p_accuracy == alone.holm_accuracy == 2 / 2**10
    assert p["a", "c"].holm_accuracy == pytest.approx(3 * 2 / 2**10)
    assert p["a", "b"].holm_accuracy == pytest.approx(2 * 2 / 2**6)
    assert p["b", "c"].holm_accuracy == pytest.approx(2 / 2**4)  # greater than that of a - b


def test_many_runs_are_compared_with_the_first_alone() -> None:
    result = compare([entry(f"run{i}", 100 + i, seed=i) for i in range(7)])
    assert [(p.first, p.second) for p in result.pairs] == [("run0", f"run{i}") for i in range(1, 7)]
    assert any("With more than 6 runs, run0" in note for note in result.notes)
    assert len(compare([entry(f"{i}", seed=i) for i in range(6)]).pairs) == 15


def groups_of_seeds() -> Comparison:
    rng = np.random.default_rng(0)
    entries = []
    for rate, seeds, share in ((1e-3, (0, 1, 2), 0.8), (5e-4, (0, 1), 0.6), (1e-4, (0,), 0.5)):
        for seed in seeds:
            right = rng.random(N) < share
            settings = {"learning_rate": rate, "gamma": 1.0}
            name = f"lr{rate:g}-seed{seed}"
            entries.append(entry(name, right, seed=seed, settings=settings))
    return compare(entries)


def test_seeds_of_the_same_settings_are_one_group() -> None:
    result = groups_of_seeds()
    assert [(g.name, g.seeds) for g in result.groups] == [
        ("A", (0, 1, 2)),
        ("B", (0, 1)),
        ("C", (0,)),
    ]
    assert [g.settings for g in result.groups] == [
        {"learning_rate": 1e-3},  # gamma is the same for all
        {"learning_rate": 5e-4},
        {"learning_rate": 1e-4},
    ]
    values = {name: [r.accuracy for r in result.rows if r.group == name] for name in "ABC"}
    first = result.groups[0].accuracy
    assert first.value == pytest.approx(np.mean(values["A"])) and first.low < first.value
    assert result.groups[2].accuracy.low is None
    (pair,) = result.group_pairs  # C has one seed: nothing is said of it
    difference, p = welch(values["A"], values["B"])
    assert (pair.first, pair.second, pair.n_first, pair.n_second) == ("A", "B", 3, 2)
    assert pair.accuracy == difference and pair.p_accuracy == pair.holm_accuracy == p


def test_a_seed_trained_twice_counts_once() -> None:
    group = compare(
        [entry("a", 100, seed=0), entry("b", 140, seed=0), entry("c", 180, seed=1)]
    ).groups[0]
    assert group.seeds == (0, 1) and group.accuracy.value == pytest.approx((0.6 + 0.9) / 2)


def test_other_images_are_shown_but_not_tested() -> None:
    other = entry("c", 100, shown="mnist, test split")
    result = compare([entry("a"), entry("b", 160), other])
    assert [(p.first, p.second) for p in result.pairs] == [("a", "b")]
    assert len(result.rows) == len(result.groups) + 1 == 3  # equal settings, other data: apart
    assert any("other images are not tested" in note for note in result.notes)
    assert any(note == "c: the first 200 images of mnist, test split." for note in result.notes)


def test_notes_tell_what_a_reader_must_know() -> None:
    half = entry("a", timesteps=5000, planned=10_000, git="abc")
    result = compare([half, entry("b", git="def", timesteps=10_240, planned=10_000)], notes=["x."])
    assert result.notes[0] == "x."
    assert "a was stopped after 5,000 of 10,000 timesteps." in result.notes
    assert not any("b was stopped" in note for note in result.notes)
    assert any("abc (a), def (b)" in note for note in result.notes)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"got runs \['a'\]; wanted two or more"):
        compare([entry("a")])
    with pytest.raises(ValueError, match=r"\['a', 'a'\]; wanted two or more, each with a name"):
        compare([entry("a"), entry("a")])
    twice = Entry("b", "x", 0, "digits", np.zeros(N, int), episodes(3))
    with pytest.raises(ValueError, match=r"b has 200 episodes .* 1 of them different"):
        compare([entry("a"), twice])
    swapped = entry("b")
    object.__setattr__(swapped.paths, "labels", LABELS[::-1].copy())
    with pytest.raises(ValueError, match="a and b have different labels for the same images"):
        compare([entry("a"), swapped])


# ---- settings ----


def test_settings_are_flat_and_parts_go_by_their_names() -> None:
    assert flat({"sensor": "Crop"}) == flat({"sensor": {"type": "Crop"}}) == {"sensor": "Crop"}
    assert flat({"sensor": {"type": "Crop", "size": 8}}) == {"sensor": "Crop", "sensor.size": 8}
    callbacks = ["a.B", {"c.D": {"epochs": 1, "gaze": {"type": "Grid"}}}]
    found = {"callback.a.B": True, "callback.c.D.epochs": 1, "callback.c.D.gaze": "Grid"}
    assert flat({"callback": callbacks}) == found == flat(found)
    terms = ["UncertaintyReduction", {"type": "GlimpseCost", "cost": 0.01}]
    assert flat({"terms": terms}) == {
        "terms.UncertaintyReduction": True,
        "terms.GlimpseCost.cost": 0.01,
    }
    assert flat({"sizes": [1, 2], "pairs": [[1], [2]]}) == {
        "sizes": (1, 2),
        "pairs.0": (1,),
        "pairs.1": (2,),
    }


def test_runs_of_another_seed_have_the_same_settings() -> None:
    def config(**changes) -> dict:
        return {
            "env": "GlimpseDigits-MultiCat-v0",
            "env_kwargs": {"dataset": "folder:here", "budget": 3},
            "algorithm": "ppo",
            "recipe": {"n_steps": 8},
            "seed": 0,
            "dataset": {"name": "digits", "digest": "d"},
            "git": "a",
            "versions": {"torch": "1"},
            **changes,
        }

    first = run_settings(config())
    assert first["n_steps"] == 8 and first["env_kwargs.budget"] == 3 and first["data"] == "d"
    moved = {"dataset": "folder:there", "budget": 3}
    assert run_settings(config(seed=1, git="b", versions={}, env_kwargs=moved)) == first
    canvas = [{"classifier": {"type": "canvas", "width": 8, "seed": s}} for s in (0, 1)]
    made = [run_settings(config(seed=s, env_kwargs=canvas[s])) for s in (0, 1)]
    assert made[0] == made[1] and made[0]["env_kwargs.classifier.width"] == 8
    for changes, name in (
        ({"recipe": {"n_steps": 16}}, "n_steps"),
        ({"env_kwargs": {"budget": 4}}, "env_kwargs.budget"),
        ({"dataset": {"digest": "e"}}, "data"),
        ({"env": "GlimpseMNIST-MultiCat-v0"}, "env"),
    ):
        assert differing([first, run_settings(config(**changes))]) == [name]


# ---- tables and files ----


def cells(text: str, beginning: str) -> list[list[str]]:
    """The cells of the table whose header begins so."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {beginning}"))
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return [found[0], *found[2:]]


def test_the_tables_say_what_was_found() -> None:
    text = comparison_table(groups_of_seeds())
    header, *rows = cells(text, "#")
    assert len(rows) == 6 and all(len(row) == len(header) for row in rows)
    assert rows[0][:4] == ["1", "lr0.001-seed0", "A", "0"] and rows[0][-1] == "?"
    assert cells(text, "setting")[1] == ["`learning_rate`", "0.001", "0.0005", "0.0001"]
    groups = cells(text, "group")
    assert [row[2] for row in groups[1:]] == ["3", "2", "1"]
    assert groups[3][3].endswith("(no interval)")
    assert "n is the number of seeds, not of images" in text
    assert cells(text, "groups")[1][:2] == ["A - B", "3, 2"]
    assert len(cells(text, "runs")) == 1 + 15
    assert max(len(line) for line in text.splitlines() if not line.startswith("-")) < 160


def test_one_seed_each_is_said() -> None:
    text = comparison_table(compare([entry("a"), entry("b", 160, settings={"x|y": "1|2"})]))
    assert "One seed for each setting" in text
    assert cells(text, "setting")[1] == ["`x/y`", "-", "1/2"]


def test_files_appear_whole(tmp_path: Path) -> None:
    result = groups_of_seeds()
    paths = write_comparison(result, tmp_path / "new")
    names = ["comparison.csv", "comparison.json", "comparison.md", "comparison.png"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == names  # nothing temporary
    assert sorted(path.name for path in paths) == names
    content = json.loads((tmp_path / "new" / "comparison.json").read_text())
    assert content["pairs"][0]["accuracy"].keys() == {"value", "low", "high"}
    assert content["groups"][2]["accuracy"]["low"] is None
    with (tmp_path / "new" / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == [row.accuracy for row in result.rows]
    assert float(rows[0]["accuracy_low"]) == result.rows[0].accuracy_ci95[0]
    assert rows[0]["minutes"] == ""
    text = (tmp_path / "new" / "comparison.md").read_text()
    assert comparison_table(result) in text
    for name in re.findall(r"\]\((.*?)\)", text):
        assert (tmp_path / "new" / name).exists()


def test_the_picture_has_a_colour_for_each_group(tmp_path: Path) -> None:
    write_comparison(groups_of_seeds(), tmp_path)
    with Image.open(tmp_path / "comparison.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 700
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)):
        assert (pixels == colour).all(-1).sum() > 200
    many = [entry(f"{i}", 100 + i, seed=i % 2, settings={"x": i // 2}) for i in range(40)]
    write_comparison(compare(many), tmp_path)  # more groups than colours
