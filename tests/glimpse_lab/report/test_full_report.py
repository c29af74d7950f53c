"""The page of a run: figures, film and episodes of one evaluation, in one file."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs import load_dataset
from glimpse_lab.recipes import load_recipe, override
from glimpse_lab.report.full import write_html
from glimpse_lab.report.run_files import (
    evaluate_run,
    write_film,
    write_report,
    write_scanpaths,
)
from glimpse_lab.runs import Run

RECIPE = Path(__file__).parents[3] / "hyperparams" / "reward_alone" / "ppo_lstm.yml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, BaseAlgorithm]:
    env_id = "GlimpseDigits-MultiCat-v0"
    recipe = load_recipe(RECIPE, env_id)
    override(recipe, ["n_envs=4", "n_steps=8", "batch_size=16", "n_epochs=1"])
    config = {
        "env": env_id,
        "env_kwargs": recipe.pop("env_kwargs"),
        "algorithm": "ppo_lstm",
        "recipe": recipe,
        "seed": 3,
        "dataset": {"name": "digits", "digest": load_dataset("digits").digest},
    }
    run = Run(tmp_path_factory.mktemp("runs") / "tiny", config)
    run.create()
    return run, run.make_model(run.make_env(), "cpu")


def test_the_page_of_a_run_has_what_was_written_for_it(trained: tuple[Run, BaseAlgorithm]) -> None:
    run, model = trained
    result, paths = evaluate_run(run, model, "validation")
    write_report(run, result, paths)
    write_film(run, model, "validation", 2)
    name = write_html(run, result, paths, {}, command="python eval.py RUN_DIR")
    page = (run.path / name).read_text(encoding="utf-8")
    assert name == "report-validation.html" and "GlimpseDigits-MultiCat-v0, tiny" in page
    assert "What is mistaken for what" in page and "data:video/mp4" in page
    assert "Wrong, at random" in page and "python eval.py RUN_DIR" in page
    assert f"{100 * result['accuracy']:.1f}" in page and str(run.path) not in page


def test_scanpath_figures_show_the_episodes_of_the_film(trained: tuple[Run, BaseAlgorithm]) -> None:
    run, model = trained
    _, paths = evaluate_run(run, model, "validation")
    name = write_scanpaths(run, paths, "validation", 2)
    with Image.open(run.path / name) as two:
        width, height = two.size
    with Image.open(run.path / write_scanpaths(run, paths, "validation", 1)) as one:
        assert name == "scanpath figures-validation.png"
        assert one.width == width and height == 2 * one.height + 4


def test_another_budget_has_a_page_of_its_own(trained: tuple[Run, BaseAlgorithm]) -> None:
    run, model = trained
    result, paths = evaluate_run(run, model, "test", budget=2)
    name = write_html(run, result, paths, {})
    page = (run.path / name).read_text(encoding="utf-8")
    assert name == "report-budget2.html" and "of at most 2" in page and "<video" not in page
