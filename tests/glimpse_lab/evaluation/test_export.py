"""Fixations as a table: the same as stepping the single environment, and read back as written."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow
import pytest
from made_runs import small_config
from pyarrow import parquet
from stable_baselines3 import PPO

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_lab.evaluation.export import (
    COLUMNS,
    DEGREES,
    export_fixations,
    export_run,
    fixation_info,
    fixations,
)
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.runs import Run
from policies import GlimpsePolicy

IMAGES = np.array([5, 3, 40, 12, 0, 77])
INFO = {"env": "GlimpseDigits-MultiCat-v0", "seed": 3, "git": "abc"}
PARTS: dict[str, dict[str, Any]] = {
    # who answers: the agent; the classifier
    "GlimpseDigits-MultiCat-v0": {"reward": "InformationGain", "budget": 4},
    "GlimpseDigits-Saccade-v0": {"reward": "UncertaintyReduction", "budget": 3},
}


def played(env_id: str) -> tuple[PPO, GlimpseConfig, Scanpaths]:
    """An agent that has not learnt, and its episodes."""
    parts = {**registered_kwargs(env_id), "classifier": "canvas", **PARTS[env_id]}
    config = make_config(**{**parts, "split": "validation"})
    given = {**PARTS[env_id], "classifier": config.classifier}
    model = PPO(GlimpsePolicy, GlimpseVecEnv(env_id, 4, seed=0, **given), n_steps=8, batch_size=16)
    return model, config, evaluate(model, config, index=IMAGES, record_hidden=True)


@pytest.fixture(scope="module")
def answered() -> tuple[PPO, GlimpseConfig, Scanpaths]:
    return played("GlimpseDigits-MultiCat-v0")


@pytest.mark.parametrize("env_id", sorted(PARTS))
def test_rows_are_what_the_single_environment_shows(env_id: str) -> None:
    model, config, paths = played(env_id)
    table = fixations(paths, config, IMAGES)
    env = gymnasium.make(
        env_id,
        split="validation",
        classifier=config.classifier,
        observe_classifier_features=True,
        **PARTS[env_id],
    )
    answers = config.scheme.answers
    row = 0
    for image in IMAGES:
        observation, info = env.reset(options={"index": int(image)})
        terminated, step = False, 1
        while not terminated:
            wanted = {"image": image, "label": info["label"], "step": step}
            assert {name: table[name][row] for name in wanted} == wanted
            assert table["class"][row] == config.dataset.classes[info["label"]]
            gaze = [table[name][row] for name in ("x", "y", "zoom")]
            assert gaze == observation["gaze"].tolist()
            belief = [table[f"belief_{k}"][row] for k in range(10)]
            assert belief == pytest.approx(observation["belief"], abs=1e-5)
            hidden = [table[f"hidden_{k}"][row] for k in range(config.classifier.hidden_size)]
            assert hidden == pytest.approx(observation["classifier_features"], abs=1e-4)
            window = env.unwrapped.core.windows(0)[-1]
            assert [table[name][row] for name in ("left", "top", "side")] == pytest.approx(window)
            standing = info["prediction"]  # the classifier's, where it answers
            seen = {
                key: value for key, value in observation.items() if key != "classifier_features"
            }
            action, _ = model.predict(seen, deterministic=True)
            observation, reward, terminated, _, info = env.step(action)
            assert table["reward"][row] == pytest.approx(reward, abs=1e-5)
            last = terminated and answers
            assert table["last"][row] == last
            assert table["choice"][row] == (info["prediction"] if last else -1)
            assert table["prediction"][row] == (info["prediction"] if last else standing)
            assert table["correct"][row] == (table["prediction"][row] == info["label"])
            row, step = row + 1, step + 1
        if not answers:  # the glimpse that ended the episode: no action follows it
            assert table["last"][row] and np.isnan(table["reward"][row])
            assert table["choice"][row] == table["prediction"][row] == info["prediction"]
            row += 1
        assert table["seen"][row - 1] == np.float32(info["coverage"])
        assert table["step"][row - 1] == info["n_glimpses"]
    assert row == len(table["image"]) == paths.n_glimpses.sum()


def test_an_episode_that_ends_without_an_answer_has_no_choice(
    answered: tuple[PPO, GlimpseConfig, Scanpaths],
) -> None:
    _, config, paths = answered
    answers = paths.answers.copy()
    answers[1] = -1
    predictions = np.where(np.arange(6) == 1, -1, paths.predictions)
    table = fixations(replace(paths, answers=answers, predictions=predictions), config, IMAGES)
    rows = table["image"] == 3
    assert (table["choice"][rows] == -1).all() and not table["correct"][rows].any()
    assert table["last"][rows].tolist() == [False] * (rows.sum() - 1) + [True]


def without_first_reward(paths: Scanpaths) -> Scanpaths:
    rewards = paths.step_rewards.copy()
    rewards[0, 0] = np.nan
    return replace(paths, step_rewards=rewards)


def same(found: Any, wanted: np.ndarray) -> bool:
    """Whether what was read is what was there, with None for NaN."""
    return found == [None if isinstance(v, float) and np.isnan(v) else v for v in wanted.tolist()]


def test_parquet_comes_back_with_types_and_info(
    answered: tuple[PPO, GlimpseConfig, Scanpaths], tmp_path: Path
) -> None:
    _, config, paths = answered
    paths = without_first_reward(paths)
    path = tmp_path / "new" / "fixations.parquet"
    assert export_fixations(path, paths, config, INFO, index=IMAGES) == path
    assert list(path.parent.iterdir()) == [path]
    table, wanted = parquet.read_table(path), fixations(paths, config, IMAGES)
    assert table.column_names == list(wanted) and table["reward"].null_count == 1
    for name in wanted:
        assert same(table[name].to_pylist(), wanted[name]), name
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["image"], types["step"], types["choice"]) == ("int32", "int16", "int16")
    assert types["x"] == types["belief_9"] == "float" and types["correct"] == "bool"
    assert types["class"].startswith("dictionary<values=string")
    info = fixation_info(path)
    assert info.items() >= INFO.items()
    assert info["classes"] == list(config.dataset.classes)
    assert info["digest"] == config.dataset.digest and info["split"] == "validation"
    assert info["image_size"] == {"height": 48, "width": 48, "channels": 1}
    assert (info["sensor_size"], info["budget"], info["n_images"]) == (8, 4, 6)
    known = {name for name in table.column_names if not name.startswith(("belief_", "hidden_"))}
    assert known == set(COLUMNS) and {"belief_k", "hidden_k", *COLUMNS} == set(info["columns"])


def test_degrees_are_columns_if_the_sensor_has_some(
    tmp_path: Path, answered: tuple[PPO, GlimpseConfig, Scanpaths]
) -> None:
    _, config, paths = answered
    moved = np.random.default_rng(0).uniform(0.0, 1.0, paths.gaze.shape).astype(np.float32)
    paths = replace(paths, gaze=np.where(paths.taken[..., None], moved, np.float32(np.nan)))
    sensor = replace(config.sensor, pixels_per_degree=4.0)
    path = export_fixations(
        tmp_path / "f.parquet", paths, replace(config, sensor=sensor), INFO, index=IMAGES
    )
    info = fixation_info(path)
    assert info["pixels_per_degree"] == 4.0 and set(DEGREES) <= set(info["columns"])
    table = {
        name: np.array(column, float)
        for name, column in parquet.read_table(path).to_pydict().items()
        if name in ("step", "x", "y", *DEGREES)
    }
    side = config.shape[0] / 4.0  # degrees
    for name in ("x", "y"):
        wanted = (table[name] - 0.5) * side
        np.testing.assert_allclose(table[f"{name}_degrees"], wanted, atol=1e-5)
    later = np.flatnonzero(table["step"] > 1)
    shift = [side * (table[name][later] - table[name][later - 1]) for name in ("x", "y")]
    assert len(later) and (np.hypot(*shift) > 0).any()
    np.testing.assert_allclose(table["saccade_degrees"][later], np.hypot(*shift), atol=1e-5)
    assert np.isnan(table["saccade_degrees"][table["step"] == 1]).all()


def test_csv_comes_back_to_the_last_bit_with_its_info_beside(
    answered: tuple[PPO, GlimpseConfig, Scanpaths], tmp_path: Path
) -> None:
    _, config, paths = answered
    paths = without_first_reward(paths)
    path = export_fixations(tmp_path / "fixations.csv", paths, config, INFO, index=IMAGES)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["fixations.csv", "fixations.csv.json"]
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    wanted = fixations(paths, config, IMAGES)
    assert header == list(wanted)
    for name, column in zip(header, zip(*rows, strict=True), strict=True):
        kind = wanted[name].dtype
        if kind.kind == "f":
            found = np.array([np.nan if text == "" else text for text in column]).astype(kind)
            np.testing.assert_array_equal(found, wanted[name])
        else:
            assert list(column) == [str(value) for value in wanted[name].tolist()], name
    assert rows[0][header.index("reward")] == ""
    export_fixations(tmp_path / "same.parquet", paths, config, INFO, index=IMAGES)
    assert fixation_info(path) == fixation_info(tmp_path / "same.parquet")


def test_without_classifier_there_are_no_beliefs(tmp_path: Path) -> None:
    env_id = "GlimpseDigits-GreedyMap-v0"
    model = PPO(GlimpsePolicy, GlimpseVecEnv(env_id, 4, seed=0), n_steps=8, batch_size=16)
    config = make_config(**{**registered_kwargs(env_id), "split": "test"})
    path = export_fixations(tmp_path / "x.parquet", evaluate(model, config, index=9), config, INFO)
    assert parquet.read_schema(path).names == list(COLUMNS)
    assert set(fixation_info(path)["columns"]) == set(COLUMNS)
    assert parquet.read_table(path)["image"].to_pylist()[-1] == 8  # the first 9 images


def test_a_run_is_exported_with_what_it_was_told(tmp_path: Path) -> None:
    overrides = {"env_kwargs": {"budget": 3}}
    made = small_config(
        "reward_alone/ppo_lstm.yml", overrides, env_id="GlimpseDigits-GreedyMap-v0", seed=7
    )
    run = Run(tmp_path / "run", replace(made, git="abc"))
    model = run.config.make_model(run.make_env(), "cpu")
    shown = run.env_config("validation", budget=2)
    paths = evaluate(model, shown, index=IMAGES)
    path = tmp_path / "fixations.csv"
    export_run(path, run, paths, "validation", budget=2, index=IMAGES)
    info = fixation_info(path)
    wanted = {"env": made.env_id, "run": "run", "seed": 7, "git": "abc", "budget": 2}
    assert info.items() >= {**wanted, "env_kwargs": {"budget": 3}, "split": "validation"}.items()


def test_errors_say_what_to_do(
    answered: tuple[PPO, GlimpseConfig, Scanpaths],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, config, paths = answered
    with pytest.raises(ValueError, match=r"'rows\.xlsx'; wanted one that ends in \.parquet or"):
        export_fixations(tmp_path / "rows.xlsx", paths, config, INFO, index=IMAGES)
    with pytest.raises(ValueError, match="give the split and the images that were evaluated"):
        export_fixations(tmp_path / "rows.csv", paths, config, INFO)
    for wrong in (IMAGES[:5], IMAGES - 1, IMAGES + 1000):
        with pytest.raises(ValueError, match="do not have the labels of images"):
            fixations(paths, config, wrong)
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="wanted a file of export_fixations"):
        fixation_info(tmp_path / "other.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install -e .*parquet.*, or .* \.csv"):
        export_fixations(tmp_path / "rows.parquet", paths, config, INFO, index=IMAGES)
    with pytest.raises(ImportError, match="parquet"):
        fixation_info(tmp_path / "other.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["other.parquet"]
    export_fixations(tmp_path / "rows.csv", paths, config, INFO, index=IMAGES)  # needs none


def test_ten_thousand_images_have_all_their_rows(
    answered: tuple[PPO, GlimpseConfig, Scanpaths], tmp_path: Path
) -> None:
    _, config, paths = answered
    many = np.tile(np.arange(6), 10_000 // 6 + 1)[:10_000]
    columns = {
        name: value[many] if isinstance(value, np.ndarray) else value
        for name, value in vars(paths).items()
    }
    repeated = Scanpaths(**{**columns, "hidden": columns["hidden"][:, :, :0]})
    for suffix in (".parquet", ".csv"):
        path = tmp_path / f"many{suffix}"
        export_fixations(path, repeated, config, INFO, index=IMAGES[many])
        assert fixation_info(path)["n_rows"] == repeated.n_glimpses.sum()
