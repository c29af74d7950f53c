"""benchmarks/robustness.py on the embedded digits."""

import importlib.util
from pathlib import Path

import made_runs
import pytest
from scripts import call, load_script, succeed

from glimpse_lab.evaluation.result import Robustness
from glimpse_lab.evaluation.storage import read_result

SCRIPT = "benchmarks/robustness.py"
SMALL = ("--images", "20", "--train-images", "512")


def make_run(path: Path, recipes: str) -> Path:
    """A run directory of an agent that has not learnt anything."""
    overrides = {"env_kwargs.budget": 3}
    if not recipes.startswith("reward_alone"):
        overrides["env_kwargs.classifier"] = {"type": "canvas", "width": 4}
    run = made_runs.make_run(path, recipes, overrides)
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    return path


@pytest.mark.skipif(
    importlib.util.find_spec("art") is None, reason="attacks need the extra `attacks`"
)
def test_a_run_is_attacked_and_corrupted_beside_the_full_image(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "ppo.yml")
    arguments = [run, *SMALL, "--epsilon", 8, "--steps", 2, "--only", "attacks", "blur"]
    output = succeed(load_script(SCRIPT).main, *arguments, name=SCRIPT)
    for row in ("| clean |", "| fgsm 8/255 |", "| pgd 8/255 |", "| blur 0.5 pixels (sd) |"):
        assert row in output
    assert "pgd of 2 steps of 2.5 epsilon / steps, random start; deterministic" in output
    kept = read_result(run / "robustness.json", Robustness)
    assert kept.n_images == 20 and kept.split == "test"
    assert kept.full_image_training["n_images"] == 512
    rows = {(row.kind, row.strength): row for row in kept.results}
    assert len(rows) == 1 + 2 + 4
    for name in ("agent", "full_image"):
        assert getattr(rows["clean", 0.0], name).largest_change == 0
        assert getattr(rows["pgd", 8], name).largest_change == 8
        blurred = getattr(rows["blur", 2.0], name)
        low, high = blurred.accuracy_ci95
        assert low <= blurred.accuracy <= high
    settings = rows["pgd", 8].settings
    assert settings["steps"] == 2 and settings["step"] == 10.0 and settings["n_gazes"] == 1


def test_an_agent_without_a_classifier_is_corrupted_alone(tmp_path: Path) -> None:
    script = load_script(SCRIPT)
    run, out = make_run(tmp_path / "run", "reward_alone/ppo_lstm.yml"), tmp_path / "elsewhere.json"
    arguments = [run, *SMALL, "--out", out]
    with pytest.raises(ValueError, match="attacks are not defined without one"):
        call(script.main, *arguments, "--attacks", "pgd", name=SCRIPT)
    printed = succeed(script.main, *arguments, "--only", "attacks", "noise", name=SCRIPT)
    assert "no attacks" in printed and "pgd" not in printed
    kinds = [row.kind for row in read_result(out, Robustness).results]
    assert kinds == ["clean"] + 4 * ["noise"]
