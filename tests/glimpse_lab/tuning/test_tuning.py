"""A search with Optuna: counted on, pruned, interrupted, and written down as a recipe."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from made_runs import ENV_ID

import glimpse_lab.tuning.search as tuning
import glimpse_lab.tuning.trials as trials
from glimpse_lab.config import resolve_config
from glimpse_lab.recipes import RecipeError
from glimpse_lab.runs import RunError
from glimpse_lab.tuning.search import Study, check_optuna

SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "minibatches": [1, 2]}


def study(path: Path, space: dict[str, Any] = SPACE, **changes: Any) -> Study:
    overrides = {
        **{"n_envs": 8, "n_steps": 8, "batch_size": 32, "n_epochs": 1, "n_timesteps": 128},
        "env_kwargs.budget": 2,
        "callback": [],
    }
    config = resolve_config(ENV_ID, classifier="none", overrides=overrides)
    lines: list[str] = []
    made = Study(path / "study", config, space, timesteps=5000, say=lines.append, **changes)
    object.__setattr__(made, "lines", lines)
    return made


def table(made: Study) -> list[dict[str, str]]:
    with (made.path / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_study_goes_on_where_it_was(tmp_path: Path) -> None:
    first = study(tmp_path)
    best = first.run(2)
    rows = table(first)
    assert [row["number"] for row in rows] == ["0", "1"]
    assert rows[0]["learning_rate"] == "0.001" and rows[0]["minibatches"] == "2"  # the recipe's
    assert best["score"] == max(float(row["score"]) for row in rows)

    again = study(tmp_path)
    again.run(3)
    assert [row["number"] for row in table(again)] == ["0", "1", "2"]
    assert table(again)[:2] == rows
    assert study(tmp_path).run(3)["score"] >= best["score"]  # nothing is left to do
    assert len(table(again)) == 3
    assert (again.path / "history.png").stat().st_size > 5000

    other = study(tmp_path / "whole")
    other.run(3)  # the draws do not depend on interruptions
    choices = [[row["learning_rate"], row["minibatches"]] for row in table(other)]
    assert choices == [[row["learning_rate"], row["minibatches"]] for row in table(again)]


def test_the_best_recipe_makes_the_run_of_the_best_trial(tmp_path: Path) -> None:
    made = study(tmp_path)
    best = made.run(1)
    assert made.best_file.name == "ppo_lstm.yml"
    config = resolve_config(ENV_ID, made.best_file)
    assert config.recipe["learning_rate"] == f"lin_{best['choice']['learning_rate']:g}"
    assert config.recipe["batch_size"] * best["choice"]["minibatches"] == 64
    assert config.recipe["n_timesteps"] == 5000
    assert {"classifier": None, **config.env_kwargs} == made.config.env_kwargs
    assert "validation" in made.best_file.read_text().splitlines()[0]
    assert str(made.best_file) in made.summary(best)


def test_a_trial_that_diverges_is_no_end(tmp_path: Path) -> None:
    made = study(tmp_path, {"learning_rate": [float("1e18")]})
    assert made.run(2) is None
    assert [row["state"] for row in table(made)] == ["diverged", "diverged"]
    assert any("diverged" in line for line in made.lines)
    assert "no trial came to its end" in made.summary(None)
    assert not made.best_file.exists()


def test_a_trial_below_the_median_is_stopped(tmp_path: Path) -> None:
    """Four trials learn; of those that cannot, none is trained to its end."""
    made = study(tmp_path)
    made.run(1)
    stored = optuna.load_study(
        study_name="study", storage=f"sqlite:///{made.path.resolve() / 'study.db'}"
    )
    for _ in range(4):
        trial = optuna.create_trial(
            value=1.0,
            params={"learning_rate": 1e-3, "minibatches": 1},
            distributions=stored.trials[0].distributions,
            intermediate_values={step: 1.0 for step in range(1, 5)},
            user_attrs={"choice": {"learning_rate": 1e-3, "minibatches": 1}},
        )
        stored.add_trial(trial)
    made.run(6)
    row = table(made)[-1]
    assert row["state"] == "pruned" and float(row["score"]) < 1.0
    assert "below the median" in made.lines[-1]


def test_after_an_interruption_the_same_trial_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = study(tmp_path)
    made.run(1)
    evaluate = trials.evaluate

    def interrupted(*arguments: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.run(2)
    monkeypatch.setattr(trials, "evaluate", evaluate)
    begun = made.lines[-1].partition(": ")[2]
    assert len(table(made)) == 1
    made.run(2)
    assert made.lines[-2].partition(": ")[2] == begun
    assert [row["number"] for row in table(made)] == ["0", "2"]


def test_a_killed_trial_is_run_again(tmp_path: Path) -> None:
    made = study(tmp_path)
    made.run(1)
    stored = optuna.load_study(
        study_name="study", storage=f"sqlite:///{made.path.resolve() / 'study.db'}"
    )
    killed = stored.ask()
    rate = killed.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    made.run(2)
    assert float(table(made)[-1]["learning_rate"]) == pytest.approx(rate, rel=1e-3)
    assert stored.trials[killed.number].state == optuna.trial.TrialState.FAIL


def test_another_search_of_that_name_is_refused(tmp_path: Path) -> None:
    study(tmp_path).run(1)
    with pytest.raises(RunError, match=r"another space.yml"):
        study(tmp_path, {**SPACE, "gamma": [0.9]}).run(1)
    changed = study(tmp_path)
    recipe = {**changed.config.recipe, "n_epochs": 2}
    changed = replace(changed, config=replace(changed.config, recipe=recipe))
    with pytest.raises(RunError, match=r"another study.yml"):
        changed.run(1)
    (tmp_path / "else" / "study").mkdir(parents=True)
    (tmp_path / "else" / "study" / "x").touch()
    with pytest.raises(RunError, match="no study"):
        study(tmp_path / "else").run(1)


def test_settings_that_fit_nothing_leave_nothing(tmp_path: Path) -> None:
    for space in ({"gama": [0.9]}, {"minibatches": [3]}, {"policy_kwargs.nothing": [1]}):
        with pytest.raises(RecipeError):
            study(tmp_path, space).run(1)
    assert not (tmp_path / "study").exists()


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    check_optuna()
    monkeypatch.setattr(tuning, "optuna", None)
    with pytest.raises(ValueError, match=r"pip install"):
        check_optuna()


def test_a_space_is_written_as_it_is_read(tmp_path: Path) -> None:
    made = study(tmp_path)
    made.run(1)
    assert yaml.safe_load((made.path / "space.yml").read_text()) == SPACE
