"""Run directories of a stranger: nothing of theirs runs, and nothing is written elsewhere."""

from __future__ import annotations

import io
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th
import yaml
from made_runs import make_run
from scripts import call

import glimpse_lab
from glimpse_lab.checkpoint import save_checkpoint
from glimpse_lab.cli import train as train_script
from glimpse_lab.integrations.hub import pull
from glimpse_lab.recipes import RECIPES, RUN_CALLBACKS, import_class
from glimpse_lab.runs import Run, RunError
from glimpse_lab.training import make, restore
from policies.classifier.model import MEMBER

CALLBACKS = "stable_baselines3.common.callbacks."
CANVAS = {"type": "canvas", "width": 4}
TRAINING = {"pretraining": 64, "batch_size": 16}


def files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def change(run: Run, **changes: Any) -> None:
    """Change entries of the recipe in a run's ``config.yml``."""
    file = run.path / "config.yml"
    content = yaml.safe_load(file.read_text())
    content["recipe"] |= changes
    file.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a classifier, saved in its pretraining."""
    overrides = {
        "env_kwargs.classifier": CANVAS,
        "env_kwargs.budget": 3,
        "callback": [{"policies.CoTrainingCallback": TRAINING}],
        "n_timesteps": 64,
    }
    run = make_run(tmp_path_factory.mktemp("made") / "run", "ppo.yml", overrides)
    model, callbacks = make(run, "cpu")
    save_checkpoint(run.model_file, model, callbacks[0].state())
    return run.path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Run:
    """A copy of it for a test that changes it."""
    return Run.open(Path(shutil.copytree(made, tmp_path / "theirs" / "run")))


# ---- callbacks ----


@pytest.mark.parametrize(
    "entry",
    [
        {f"{CALLBACKS}CheckpointCallback": {"save_freq": 1, "save_path": "OUT"}},
        {f"{CALLBACKS}EvalCallback": {"eval_env": 1, "log_path": "OUT/x"}},
        {"sb3_contrib.common.maskable.callbacks.MaskableEvalCallback": {"eval_env": 1}},
        {f"{CALLBACKS}ConvertCallback": {"callback": "print"}},
        {f"{CALLBACKS}EveryNTimesteps": {"n_steps": 1, "callback": 1}},
        {f"{CALLBACKS}CallbackList": {"callbacks": []}},
        {"policies.callbacks.Checkpoint": {"save": "x"}},
        "os.system",
        "subprocess.Popen",
        {"a": {}, "b": {}},
        {},
        5,
        [],
        None,
    ],
)
def test_a_run_names_only_callbacks_that_write_nowhere_else(
    entry: Any, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    entry = yaml.safe_load(yaml.safe_dump(entry).replace("OUT", str(out)))
    change(run, callback=[entry])
    before = files(tmp_path)
    for use in (glimpse_lab.resume, glimpse_lab.load, glimpse_lab.evaluate):
        with pytest.raises(
            RunError, match=r"--packages|wanted a text|wanted module.Class"
        ) as caught:
            use(run.path)
        assert "\n" not in str(caught.value)
    assert files(tmp_path) == before and not out.exists()


def test_the_short_list_names_callbacks_that_are_there() -> None:
    from stable_baselines3.common.callbacks import BaseCallback

    for name in RUN_CALLBACKS:
        cls = import_class(name, BaseCallback)
        assert f"{cls.__module__}.{cls.__qualname__}" == name


def test_a_users_own_recipe_may_name_others_and_says_so_when_it_is_resumed(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    name = f"{CALLBACKS}CheckpointCallback"
    made = glimpse_lab.train(
        overrides={
            "n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1,
            "env_kwargs.budget": 3, "env_kwargs.classifier": CANVAS,
            "callback": [
                {"policies.CoTrainingCallback": TRAINING},
                {name: {"save_freq": 4, "save_path": str(saved)}},
            ],
        },
        total_timesteps=64,
        runs=tmp_path,
        video=False,
    )  # fmt: skip
    assert list(saved.glob("*.zip"))
    with pytest.raises(RunError, match="if you trust it: --packages stable_baselines3"):
        glimpse_lab.resume(made.path, total_timesteps=128, video=False)
    again = glimpse_lab.resume(
        made.path, total_timesteps=128, video=False, packages=["stable_baselines3"]
    )
    assert again.saved_timesteps() == 128


# ---- what a model.zip holds ----


def rewrite(run: Run, tamper: Callable[[dict[str, Any]], None]) -> None:
    """Change what ``model.zip`` holds of the classifier."""
    with zipfile.ZipFile(run.model_file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (run.path / "x").write_bytes(members[MEMBER])
    content = th.load(run.path / "x", weights_only=True)
    tamper(content)
    th.save(content, run.path / "x")
    members[MEMBER] = (run.path / "x").read_bytes()
    (run.path / "x").unlink()
    with zipfile.ZipFile(run.model_file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("absolute", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_key_in_a_run_names_no_file_and_nothing_of_the_run_is_kept(
    absolute: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    (data / "classifiers").mkdir(parents=True)
    (tmp_path / "victim.lock").write_text("mine")
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(data))
    key = str(tmp_path / "victim") if absolute else "../../victim"
    rewrite(run, lambda content: content["extras"].update(key=key))
    elsewhere = {k: v for k, v in files(tmp_path).items() if not k.is_relative_to(run.path)}
    status, output, errors = call(train_script.main, "--resume", run.path, "--no-video")
    assert status == 0, output + errors
    now = {k: v for k, v in files(tmp_path).items() if not k.is_relative_to(run.path)}
    assert now == elsewhere


@pytest.mark.parametrize(
    "extras",
    [
        {"pretrained": "many"},
        {"pretrained": -5},
        {"optimizer": {"state": {}, "param_groups": []}},
        {"optimizer": [1]},
    ],
)
def test_a_state_that_does_not_fit_is_said(extras: dict, run: Run) -> None:
    rewrite(run, lambda content: content["extras"].update(extras))
    status, _, errors = call(train_script.main, "--resume", run.path, "--no-video")
    assert status == 1 and errors.splitlines()[-1].startswith("error: ")


def compressed(source: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
    for name in source.namelist():
        target.writestr(name, source.read(name), zipfile.ZIP_DEFLATED)


def bomb(source: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
    for name in source.namelist():
        if name == MEMBER:
            target.writestr(name, bytes(50_000_000), zipfile.ZIP_DEFLATED)
        else:
            target.writestr(name, source.read(name))


def twice(source: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
    for name in [*source.namelist(), MEMBER]:
        target.writestr(name, source.read(name))


def outside(source: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
    for name in source.namelist():
        target.writestr(name, source.read(name))
    target.writestr("../../evil.txt", "x")


def link(source: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
    for name in source.namelist():
        target.writestr(name, source.read(name))
    member = zipfile.ZipInfo("link")
    member.external_attr = 0o120777 << 16
    target.writestr(member, "/etc/passwd")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("build", [compressed, bomb, twice, outside, link])
def test_an_archive_holds_plain_members_alone(build: Callable, run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept.zip"
    shutil.move(run.model_file, kept)
    with zipfile.ZipFile(kept) as source, zipfile.ZipFile(run.model_file, "w") as target:
        build(source, target)
    for use in (glimpse_lab.load, glimpse_lab.resume):
        with pytest.raises(RunError, match=r"is broken"):
            use(run.path)


def test_tensors_are_not_compressed_inside_either(run: Run) -> None:
    inner = run.path / "inner.zip"
    with zipfile.ZipFile(run.model_file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (run.path / "x").write_bytes(members["policy.pth"])
    with zipfile.ZipFile(run.path / "x") as source, zipfile.ZipFile(inner, "w") as target:
        compressed(source, target)
    members["policy.pth"] = inner.read_bytes()
    with zipfile.ZipFile(run.model_file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(RunError, match="compressed"):
        glimpse_lab.load(run.path)


def test_a_policy_optimiser_of_another_shape_is_refused(run: Run) -> None:
    model, _ = make(run, "cpu")
    model.learn(32)
    state = model.policy.optimizer.state
    next(iter(state.values()))["exp_avg"] = th.zeros(3, 3, 3)
    save_checkpoint(run.model_file, model)
    with pytest.raises(RunError, match="another shape"):
        restore(run, *make(run, "cpu"))


@pytest.mark.parametrize("name", ["model.zip", "config.yml"])
def test_a_pipe_in_the_place_of_a_file_does_not_stop_us(name: str, run: Run) -> None:
    (run.path / name).unlink()
    os.mkfifo(run.path / name)
    with pytest.raises(RunError, match="no regular file"):
        glimpse_lab.load(run.path)


@pytest.mark.parametrize("name", ["training.lock", "figures", "progress.csv", ".metrics.1.json"])
def test_a_link_in_a_run_is_not_written_through(name: str, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir() if name == "figures" else target.write_text("mine")
    (run.path / name).symlink_to(target)
    before = files(tmp_path)
    for use in (glimpse_lab.load, glimpse_lab.evaluate, glimpse_lab.resume):
        with pytest.raises(RunError, match="is a link"):
            use(run.path)
    assert files(tmp_path) == before


def test_the_links_of_weights_and_biases_stay(run: Run) -> None:
    (run.path / "wandb" / "run-1").mkdir(parents=True)
    (run.path / "wandb" / "latest-run").symlink_to("run-1")
    assert Run.open(run.path).path == run.path


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "/etc"])
def test_a_classifier_is_read_from_a_plain_file_alone(place: str, run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = run.path / "config.yml"
    content = yaml.safe_load(file.read_text())
    content["env_kwargs"]["classifier"] = {"type": "file", "path": str(tmp_path / place)}
    file.write_text(yaml.safe_dump(content))
    run.model_file.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        glimpse_lab.resume(run.path)


# ---- pulls ----


def packaged(run: Run, folder: Path) -> Path:
    """A folder as the hub has it."""
    folder.mkdir()
    shutil.copy(run.path / "config.yml", folder)
    shutil.copy(run.model_file, folder / "ppo-GlimpseDigits-MultiCat-v0.zip")
    (folder / "replay.mp4").write_bytes(b"film")
    (folder / "results.json").write_text("{}")
    return folder


TRICKS = ["symlink", "relative", "hard link", "pipe", "folder", "dangling"]
NAMES = ["replay.mp4", "results.json", "config.yml", "ppo-GlimpseDigits-MultiCat-v0.zip"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trick", TRICKS)
def test_a_pull_copies_plain_files_alone(trick: str, name: str, run: Run, tmp_path: Path) -> None:
    folder = packaged(run, tmp_path / "hub")
    secret = tmp_path / "secret"
    shutil.copy(folder / name, secret)
    (folder / name).unlink()
    {
        "symlink": lambda file: file.symlink_to(secret),
        "relative": lambda file: file.symlink_to("../secret"),
        "hard link": lambda file: file.hardlink_to(secret),
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
        "dangling": lambda file: file.symlink_to(tmp_path / "nowhere"),
    }[trick](folder / name)
    with pytest.raises(RunError, match="not copied"):
        pull(str(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_device_is_not_copied(run: Run, tmp_path: Path) -> None:
    folder = packaged(run, tmp_path / "hub")
    (folder / "replay.mp4").unlink()
    try:
        os.mknod(folder / "replay.mp4", 0o020666, os.makedev(1, 5))  # /dev/zero
    except (PermissionError, AttributeError):
        pytest.skip("devices are made by root alone")
    with pytest.raises(RunError, match="not copied"):
        pull(str(folder), tmp_path / "out")


def test_a_plain_folder_is_pulled(run: Run, tmp_path: Path) -> None:
    folder = packaged(run, tmp_path / "hub")
    (folder / "notes.txt").symlink_to("/etc/passwd")  # of no concern: it is not ours
    pulled = pull(str(folder), tmp_path / "out")
    names = {"model.zip", "config.yml", "video.mp4", "results.json"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    assert pulled.saved_timesteps() == 0


@pytest.mark.parametrize("env_id", ["x/../../../secret", "/etc/x", "..\\x"])
def test_an_id_names_no_file_elsewhere(env_id: str, run: Run, tmp_path: Path) -> None:
    folder = packaged(run, tmp_path / "hub")
    content = yaml.safe_load((folder / "config.yml").read_text())
    (folder / "config.yml").write_text(yaml.safe_dump(content | {"env_id": env_id}))
    with pytest.raises(RunError, match="without folders"):
        pull(str(folder), tmp_path / "out")


@pytest.mark.parametrize("text", ["[" * 20_000, "a: b: c", "- 1", "", "packages: 5", "\x00"])
def test_a_pull_of_a_broken_config_is_one_line(text: str, run: Run, tmp_path: Path) -> None:
    folder = packaged(run, tmp_path / "hub")
    (folder / "config.yml").write_text(text)
    with pytest.raises(RunError) as caught:
        pull(str(folder), tmp_path / "out")
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


# ---- too much of everything ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_envs": 10**9}, "at most 16,384"),
        ({"n_envs": 10**30}, "at most 16,384"),
        ({"n_steps": 10**9}, "does not fit|would take|at most 1,000,000"),
        ({"policy_kwargs": {"net_arch": [20_000, 20_000]}}, "too large|at most 16,384"),
    ],
)
def test_a_run_that_asks_for_too_much_is_refused(changes: dict, message: str, run: Run) -> None:
    change(run, **changes)
    with pytest.raises(ValueError, match=message) as caught:
        glimpse_lab.load(run.path)
    assert "\n" not in str(caught.value)


def test_a_bomb_in_the_place_of_a_number_is_refused(run: Run) -> None:
    text = (run.path / "config.yml").read_text()
    levels = "\n".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 9))
    broken = text.replace("n_envs: 4", "n_envs: *a8")
    assert broken != text
    (run.path / "config.yml").write_text(f"a0: &a0 [x]\n{levels}\n{broken}")
    with pytest.raises(RunError, match="more than 20,000 values"):
        Run.open(run.path)


# ---- ids and weights ----


def test_an_id_imports_no_package_of_its_own_accord(run: Run) -> None:
    file = run.path / "config.yml"
    file.write_text(file.read_text().replace("env_id: Glimpse", "env_id: antigravity:Glimpse"))
    with pytest.raises(RunError, match="if you trust it: --packages antigravity"):
        Run.open(run.path)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight * float("nan"), "is not finite"),
        (lambda weight: weight.to(th.complex64), "is torch.complex64; wanted torch.float32"),
        (lambda weight: "text", "is no tensor"),
    ],
)
def test_weights_are_finite_numbers_of_their_own_kind(
    run: Run, change: Callable[[th.Tensor], Any], message: str
) -> None:
    with zipfile.ZipFile(run.model_file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = th.load(io.BytesIO(members["policy.pth"]), weights_only=True)
    name = next(iter(weights))
    weights[name] = change(weights[name])
    buffer = io.BytesIO()
    th.save(weights, buffer)
    members["policy.pth"] = buffer.getvalue()
    with zipfile.ZipFile(run.model_file, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    with pytest.raises(RunError, match=message):
        glimpse_lab.load(run.path)


def test_callbacks_that_do_not_fit_leave_no_run_behind(tmp_path: Path) -> None:
    for callback in ("policies.CACLA", "policies.EpsilonGreedy", "policies.PackedSequences"):
        with pytest.raises(ValueError, match="got"):
            glimpse_lab.train(
                "GlimpseDigits-MultiCat-v0",
                classifier="none",
                recipe=RECIPES / "ppo.yml",
                overrides={"callback": [callback], "env_kwargs.reward": "Terminal"},
                runs=tmp_path,
            )
    assert not list(tmp_path.iterdir())
