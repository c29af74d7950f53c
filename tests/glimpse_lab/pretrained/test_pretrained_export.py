"""From a finished run to an agent's folder: small, whole, and playing as the run does."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch as th
from made_runs import make_run
from scripts import fail, succeed
from stable_baselines3 import PPO

from glimpse_lab.checkpoint import save_checkpoint, save_to_play, saved_extras
from glimpse_lab.config import RunError
from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.pretrained import export as exporting
from glimpse_lab.pretrained.agents import open_agent
from glimpse_lab.pretrained.card import read_card
from glimpse_lab.pretrained.export import export
from glimpse_lab.report.run_files import write_report
from glimpse_lab.runs import Run
from glimpse_lab.training import make, restore
from policies import CoTrainingCallback
from policies.classifier.model import TorchClassifier

COMMAND = "python train.py --set n_envs=4"
export_fails = partial(fail, exporting.main, name="export.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a classifier, trained a little and evaluated."""
    cotraining = {"policies.CoTrainingCallback": {"pretraining": 64, "batch_size": 16}}
    settings = {"env_kwargs.classifier": {"type": "canvas", "width": 4}, "callback": [cotraining]}
    run = make_run(tmp_path_factory.mktemp("runs") / "run", "ppo.yml", settings)
    model = run.config.make_model(run.make_env(), "cpu")
    callback = CoTrainingCallback(pretraining=64, batch_size=16)
    run.save_model(model.learn(64, callback=callback), callback.state())
    evaluate_here(run)
    return run


def evaluate_here(run: Run) -> None:
    config = run.evaluation_config("test")
    result, paths = evaluate_run(run, run.load().model, config)
    write_report(run, config, paths, result)


@pytest.fixture(scope="module")
def exported(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(trained.path, "tiny", root=tmp_path_factory.mktemp("agents"), command=COMMAND)


def copy_of(run: Run, folder: Path) -> Path:
    return Path(shutil.copytree(run.path, folder))


def test_an_exported_agent_plays_as_its_run_does(trained: Run, exported: Path) -> None:
    assert {file.name for file in exported.iterdir()} == {"config.yml", "model.zip", "card.json"}
    back = open_agent(exported)
    paths, before = (
        evaluate(run.load().model, run.evaluation_config("test")) for run in (back, trained)
    )
    assert np.mean(paths.predictions == before.predictions) > 0.95
    card = read_card(exported)
    assert card.accuracy == np.mean(paths.predictions == paths.labels)
    assert abs(card.accuracy - card.accuracy_of_run) <= 1 / 359 + 1e-9
    assert (card.seed, card.command, card.split, card.n_images) == (3, COMMAND, "test", 359)
    assert card.timesteps == back.saved_timesteps() == trained.saved_timesteps() > 0


def test_weights_are_the_runs_in_half_precision(trained: Run, exported: Path) -> None:
    ours, theirs = open_agent(exported), Run.open(trained.path)
    for module, before in (
        (ours.load().model.policy, theirs.load().model.policy),
        (ours.classifier, theirs.classifier),
    ):
        weights = before.state_dict()
        for name, weight in module.state_dict().items():
            assert weight.dtype == weights[name].dtype
            wanted = weights[name].half().float() if weight.is_floating_point() else weights[name]
            th.testing.assert_close(weight, wanted, rtol=0, atol=0)


def test_nothing_but_what_plays_is_kept(trained: Run, exported: Path) -> None:
    file = exported / "model.zip"
    assert file.stat().st_size < trained.model_file.stat().st_size / 3
    assert set(saved_extras(file)) == {"pretrained", "pretraining_core_seconds"}
    model = open_agent(exported).load().model
    assert model.policy.optimizer.state_dict()["state"] == {}
    assert PPO.load(file).num_timesteps == model.num_timesteps  # a plain file of SB3's


def test_the_classifier_can_be_taken_by_another_run(exported: Path) -> None:
    classifier = TorchClassifier.load(exported / "model.zip")  # which compares its digest
    assert classifier.digest() == open_agent(exported).classifier.digest()
    assert all(weight.dtype != th.float16 for weight in classifier.state_dict().values())


def test_an_exported_agent_can_be_trained_on(exported: Path, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(exported, tmp_path / "run"))
    model, callbacks = make(run, "cpu")
    restore(run, model, callbacks)
    cotraining = next(c for c in callbacks if isinstance(c, CoTrainingCallback))
    assert cotraining.pretraining.n_done == 64  # none is pretrained anew
    before = model.policy.action_net.moves.weight.detach().clone()
    model.learn(64, callback=callbacks, reset_num_timesteps=False)  # the rate falls to 0
    assert not th.equal(model.policy.action_net.moves.weight, before)


def test_an_agent_without_a_classifier_is_exported(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "reward_alone/ppo_lstm.yml", env_id="GlimpseDigits-Hybrid-v0")
    run.save_model(run.config.make_model(run.make_env(), "cpu").learn(32))
    evaluate_here(run)
    folder = export(run.path, "hybrid", root=tmp_path / "agents", command=COMMAND)
    back = open_agent(folder)
    assert back.classifier is None and back.load().model.num_timesteps == run.saved_timesteps()


def test_an_agent_is_replaced_whole(trained: Run, tmp_path: Path) -> None:
    old = tmp_path / "agents" / "tiny"
    old.mkdir(parents=True)
    (old / "card.json").write_text("{}")
    (old / "more").write_text("of before")
    arguments = (trained.path, "tiny", "--root", tmp_path / "agents", "--command", COMMAND)
    output = succeed(exporting.main, *arguments, "--note", "of a test", name="export.py")
    assert "MB (card.json" in output
    assert {file.name for file in old.iterdir()} == {"config.yml", "model.zip", "card.json"}
    assert read_card(old).note == "of a test"
    assert [path.name for path in old.parent.iterdir()] == ["tiny"]  # nothing else is left


def test_what_cannot_be_exported_is_said_and_changes_nothing(trained: Run, tmp_path: Path) -> None:
    root = tmp_path / "agents"
    run = copy_of(trained, tmp_path / "run")
    assert "give the command that trained it by --command" in export_fails(
        run, "tiny", "--root", root
    )
    arguments = ("--root", root, "--command", COMMAND)
    assert "wanted small letters" in export_fails(run, "../tiny", *arguments)
    measured = json.loads((run / "metrics.json").read_text())
    for change, words in (
        ({"timesteps": 1}, "was measured at 1 timesteps"),
        ({"accuracy": measured["accuracy"] + 0.1}, "in half precision"),
    ):
        (run / "metrics.json").write_text(json.dumps(measured | change))
        assert words in export_fails(run, "tiny", *arguments)
    (run / "metrics.json").unlink()
    message = export_fails(run, "tiny", *arguments)
    assert "metrics.json cannot be read" in message and "eval.py" in message
    assert not root.exists() or not any(root.iterdir())


def test_weights_beyond_half_precision_are_refused(trained: Run, tmp_path: Path) -> None:
    model = trained.load().model
    with th.no_grad():
        model.policy.action_net.classes.bias[0] = 70_000.0
    with pytest.raises(RunError, match=r"action_net.classes.bias of the policy is beyond 65,504"):
        save_to_play(tmp_path / "model.zip", model)
    assert not (tmp_path / "model.zip").exists()
    trained.__dict__.pop("_own_config", None)  # its classifier was rounded


def test_half_precision_is_taken_for_single_alone(trained: Run, tmp_path: Path) -> None:
    run = Run.open(copy_of(trained, tmp_path / "run"))
    for convert, refused in ((th.nn.Module.double, True), (th.nn.Module.half, False)):
        model = Run.open(trained.path).load().model
        convert(model.policy)
        save_checkpoint(run.model_file, model)
        if refused:
            with pytest.raises(RunError, match=r"is torch.float64; wanted torch.float32"):
                run.load()
        else:
            assert run.load().model.policy.action_net.classes.weight.dtype == th.float32
