"""Agents that follow what moves: their evaluation, baselines, report, film and export."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from classifiers import NumpyClassifier
from made_results import made_baseline, made_evaluation
from made_runs import make_run

from glimpse_envs.config import make_config
from glimpse_envs.metrics.tracking import Tracking
from glimpse_envs.sb3 import registered_kwargs
from glimpse_lab.evaluation.exact import Evaluated, evaluate_run
from glimpse_lab.evaluation.export import MOVING, export_run
from glimpse_lab.evaluation.following import PursuitGaze, best_follower
from glimpse_lab.evaluation.result import BaselineKind, Evaluation
from glimpse_lab.evaluation.rollout import evaluate_gaze, reread
from glimpse_lab.evaluation.storage import read_result
from glimpse_lab.evaluation.study import study
from glimpse_lab.report.full import write_full_report
from glimpse_lab.report.run_files import summary, write_film
from glimpse_lab.report.verdict import verdict
from glimpse_lab.runs import Run

ENV_ID = "GlimpseMovingMNIST-Pursuit-v0"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, object, Evaluated]:
    """An agent that has not learnt, on moving digits."""
    run = make_run(
        tmp_path_factory.mktemp("runs") / "tiny",
        "ppo.yml",
        {"env_kwargs.dataset": "digits", "env_kwargs.budget": 6, "callback": None},
        env_id=ENV_ID,
    )
    model = run.config.make_model(run.make_env(), "cpu")
    return run, model, evaluate_run(run, model, run.evaluation_config("validation"))


def test_nobody_answers_and_the_gaze_is_measured(followed: tuple) -> None:
    _, _, (result, paths) = followed
    assert result.follows and result.unanswered == 1.0
    assert result.random_gaze.matched_budget is None
    assert 0.0 < result.tracking.on_target < 1.0
    assert result.tracking == paths.tracking and paths.targets.shape == (144, 6, 4)
    told = summary(result)
    assert "on target" in told and "pursuit gain" in told and "accuracy" not in told


def test_targets_and_glimpses_are_those_of_the_episodes(followed: tuple) -> None:
    run, _, (_, paths) = followed
    config = run.evaluation_config("validation")
    shown = reread(paths, config, [4, 9])
    np.testing.assert_array_equal(shown.targets, paths.targets[[4, 9], 5])
    for lane, row in enumerate((4, 9)):
        left, top, width, height = paths.targets[row, 5].astype(int)
        image = config.shown_split.images[row]
        part = shown.images[lane, top : top + height, left : left + width]
        assert (part >= image).all() and (part == image).mean() > 0.5  # the brighter pixel wins


def test_the_report_is_about_following(followed: tuple) -> None:
    run, model, evaluated = followed
    config = run.evaluation_config("validation")
    result = study(model, config, evaluated, run.path, progress=False)
    assert list(result.baselines)[:4] == ["centre", "stay", "random", "pursuit"]
    oracle = result.baselines["pursuit"]
    assert oracle.is_oracle and oracle.tracking.on_target == 1.0
    assert oracle.tracking.gain == pytest.approx(1.0) and oracle.tracking.distance < 1e-3
    assert result.baselines["stay"].tracking.gain == 0.0
    write_film(run, model, config, 2)
    files = write_full_report(run, config, evaluated.paths, result)
    assert not [name for name in files if "confusion" in name]
    assert read_result(run.path / "metrics-validation.json", Evaluation) == result
    page = (run.path / files[0]).read_text(encoding="utf-8")
    assert "How well does it follow?" in page and "always on the object" in page
    assert "Better than what?" not in page and "right answers" not in page
    assert "Longest on the object" in page and "data:video/mp4" in page


def test_a_film_shows_frames_that_move(followed: tuple) -> None:
    run, model, _ = followed
    write_film(run, model, run.evaluation_config("validation"), 1)
    film = imageio.imread(run.path / "video-validation.gif", index=None)
    left = np.asarray(film)[:, :256, :256, :3].astype(int)  # the panel of the image
    moved = (np.abs(np.diff(left[:6], axis=0)).max(axis=-1) > 60).mean(axis=(1, 2))
    assert len(moved) == 5 and (moved > 0.01).all()


def test_exports_tell_where_the_object_was(followed: tuple, tmp_path: Path) -> None:
    run, _, (_, paths) = followed
    file = export_run(tmp_path / "rows.csv", run, paths, "validation")
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert {*MOVING} <= rows[0].keys()
    assert np.isclose(float(rows[0]["target_x"]), float(rows[0]["x"]), atol=0.01)  # it begins there
    shares = [row["on_target"] == "True" for row in rows if int(row["step"]) > 1]
    assert np.mean(shares) == pytest.approx(paths.tracking.on_target)
    about = json.loads(Path(f"{file}.json").read_text())
    assert {*MOVING} <= about["columns"].keys()


def made_tracking(share: float, low: float, high: float) -> Tracking:
    return Tracking(
        on_target=share, on_target_ci95=(low, high), distance=3.0, gain=0.9, by_glimpse=(1.0, share)
    )


def test_the_verdict_holds_an_agent_against_the_best_gaze_that_does_not_follow() -> None:
    def rival(kind: BaselineKind, share: float) -> object:
        tracking = made_tracking(share, share - 0.02, share + 0.02)
        return made_baseline(kind, tracking=tracking)

    baselines = {
        "centre": rival(BaselineKind.SCRIPTED, 0.12),
        "stay": rival(BaselineKind.SCRIPTED, 0.2),
        "pursuit": rival(BaselineKind.ORACLE, 1.0),
    }
    about = {"baselines": baselines, "follows": True, "unanswered": 1.0}
    good = made_evaluation(**about, tracking=made_tracking(0.8, 0.78, 0.82))
    assert best_follower(good)[0] == "stay"
    assert verdict(good) == (
        "The gaze followed: 80.0 % (78.0 to 82.0) of the glimpses held the object; of where it "
        "began, at as many glimpses, 20.0 % (18.0 to 22.0)."
    )
    poor = made_evaluation(**about, tracking=made_tracking(0.21, 0.19, 0.23))
    assert verdict(poor).startswith("The gaze did not show to follow: 21.0 %")


def test_where_a_classifier_answers_the_oracle_is_on_target_and_answers() -> None:
    parts = {**registered_kwargs("GlimpseMovingMNIST-RAM-v0"), "dataset": "digits", "budget": 4}
    config = make_config(**parts, classifier=NumpyClassifier(), split="validation")
    paths = evaluate_gaze(PursuitGaze(), config, index=20)
    assert paths.tracking.on_target == 1.0 and (paths.predictions >= 0).all()
    assert config.tracked and not config.follows
