"""The page of a run: figures, film and episodes of one evaluation, in one file."""

from __future__ import annotations

import pytest
from made_runs import make_run
from PIL import Image
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.storage import read_result
from glimpse_lab.evaluation.study import study
from glimpse_lab.report.full import write_full_report
from glimpse_lab.report.run_files import write_film, write_scanpaths
from glimpse_lab.runs import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, BaseAlgorithm]:
    run = make_run(tmp_path_factory.mktemp("runs") / "tiny")
    return run, run.config.make_model(run.make_env(), "cpu")


def test_a_full_report_has_its_files_and_what_was_written_before(
    trained: tuple[Run, BaseAlgorithm],
) -> None:
    run, model = trained
    config = run.evaluation_config("validation")
    evaluated = evaluate_run(run, model, config)
    result = study(model, config, evaluated, run.path, progress=False)
    write_film(run, model, run.evaluation_config("validation"), 2)
    command = "python eval.py RUN_DIR"
    files = write_full_report(run, config, evaluated.paths, result, command=command)
    assert files == [
        *("report-validation.html", "metrics-validation.json", "confusion-validation.png"),
        "figures-validation/",
    ]
    assert read_result(run.path / "metrics-validation.json", Evaluation) == result
    assert result.statistics is not None and result.budgets.keys() == {3, 12}
    page = (run.path / files[0]).read_text(encoding="utf-8")
    assert "GlimpseDigits-MultiCat-v0, tiny" in page
    assert "What is mistaken for what" in page and "data:video/mp4" in page
    assert "Wrong, at random" in page and command in page and str(run.path) not in page
    assert f"{100 * result.accuracy:.1f}" in page


def test_scanpaths_show_the_episodes_of_the_film(trained: tuple[Run, BaseAlgorithm]) -> None:
    run, model = trained
    config = run.evaluation_config("validation")
    paths = evaluate_run(run, model, config).paths
    name = write_scanpaths(run, config, paths, 2)
    with Image.open(run.path / name) as two:
        width, height = two.size
    with Image.open(run.path / write_scanpaths(run, config, paths, 1)) as one:
        assert name == "scanpaths-validation.png"
        assert one.width == width and height == 2 * one.height + 4


def test_another_budget_has_files_of_its_own(trained: tuple[Run, BaseAlgorithm]) -> None:
    run, model = trained
    config = run.evaluation_config("test", 2)
    result, paths = evaluate_run(run, model, config)
    name, metrics, *_ = write_full_report(run, config, paths, result)
    page = (run.path / name).read_text(encoding="utf-8")
    assert (name, metrics) == ("report-budget2.html", "metrics-budget2.json")
    assert "of at most 2" in page and "<video" not in page
