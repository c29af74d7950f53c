"""Wrong settings, arguments and runs: each ends in one line, and nothing is written."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_runs import make_run
from scripts import call

from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train as training

SETTINGS = """
gamma=2
gamma=-0.1
gamma=true
gamma=null
gamma=[1]
gamma=.nan
gae_lambda=-3
gae_lambda=.inf
clip_range=-1
clip_range=0
clip_range=lin_-1
clip_range=lin_nan
clip_range_vf=-1
clip_range=cos_1
n_envs=1.5
n_envs=0
n_envs=1e9
n_envs=abc
n_envs=true
n_envs=null
n_envs=[8]
n_timesteps=0
n_timesteps=.inf
n_timesteps=abc
n_timesteps=null
n_steps=0
n_steps=1.5
n_steps=1e12
n_steps=many
batch_size=1
batch_size=1.5
batch_size=0
batch_size=2047
batch_size=null
n_epochs=.inf
n_epochs=0
n_epochs=1e9
n_epochs={a: 1}
normalize_advantage=abc
normalize_advantage=1
ent_coef=.nan
ent_coef=nan
ent_coef=-1
vf_coef=-.inf
vf_coef=-2
max_grad_norm=0
max_grad_norm=-1
max_grad_norm=x
target_kl=0
use_sde=true
use_sde=5
sde_sample_freq=0.5
stats_window_size=0
learning_rate=0
learning_rate=-1e-3
learning_rate=lin_
learning_rate=lin_inf
learning_rate={a: 1}
learning_rate=true
policy=5
policy=null
policy=NoSuchPolicy
policy=MlpPolicy
policy=CnnPolicy
policy=policies.PackedSequences
policy=policies.
policy=.x
policy=..
policy={a: b}
policy_kwargs=5
policy_kwargs=[1]
policy_kwargs=abc
policy_kwargs.net_arch=abc
policy_kwargs.net_arch=-3
policy_kwargs.net_arch=[0]
policy_kwargs.net_arch=[a]
policy_kwargs.net_arch=[1e9]
policy_kwargs.net_arch={pi: 5, x: 3}
policy_kwargs.net_arch={pi: [-1]}
policy_kwargs.activation_fn=nn.Banana
policy_kwargs.activation_fn=5
policy_kwargs.activation_fn=os.system
policy_kwargs.ortho_init=maybe
policy_kwargs.log_std_init=.inf
policy_kwargs.initial_stop_probability=2
policy_kwargs.initial_stop_probability=0
policy_kwargs.correct_belief=5
policy_kwargs.features_extractor_kwargs=5
policy_kwargs.features_extractor_kwargs.encoder=5
policy_kwargs.features_extractor_kwargs.encoder=resnet5000
policy_kwargs.features_extractor_kwargs.encoder=timm:resnet18
policy_kwargs.features_extractor_kwargs.glimpse_dim=-4
policy_kwargs.features_extractor_kwargs.glimpse_dim=1e9
policy_kwargs.features_extractor_kwargs.encoded_dim=a
policy_kwargs.features_extractor_kwargs.nothing=a
policy_kwargs.features_extractor_class=abc
policy_kwargs.optimizer_class=abc
policy_kwargs.optimizer_kwargs=5
policy_kwargs.optimizer_kwargs={a: 5}
policy_kwargs.5=3
env_kwargs=5
env_kwargs=[]
env_kwargs=abc
env_kwargs={5: 5}
env_kwargs.sensor={type: Crop, 5: 5}
env_kwargs.sensor={type: Crop, size: -1}
env_kwargs.sensor={type: Crop, size: 1e9}
env_kwargs.sensor={type: Crop, size: a}
env_kwargs.sensor={type: 5}
env_kwargs.sensor=5
env_kwargs.sensor=[Crop]
env_kwargs.sensor=Krop
env_kwargs.scheme=5
env_kwargs.scheme={type: MultiCategorical, stride: -1}
env_kwargs.scheme={type: MultiCategorical, stride: .nan}
env_kwargs.scheme={type: MultiCategorical, stride: abc}
env_kwargs.reward={type: Sum, terms: 5}
env_kwargs.reward={type: Sum, terms: []}
env_kwargs.reward={type: Sum, terms: [5]}
env_kwargs.reward={type: GlimpseCost, cost: abc}
env_kwargs.reward={type: GlimpseCost, cost: .nan}
env_kwargs.reward=null
env_kwargs.budget=0
env_kwargs.budget=1e9
env_kwargs.budget=1000000000
env_kwargs.budget=1.5
env_kwargs.budget=null
env_kwargs.budget=a
env_kwargs.budget=true
env_kwargs.start=nowhere
env_kwargs.start=5
env_kwargs.split=all
env_kwargs.split=5
env_kwargs.split=null
env_kwargs.scene_seed=-1
env_kwargs.scene_seed=a
env_kwargs.scene=5
env_kwargs.scene={type: Cluttered, n: -5}
env_kwargs.augment=5
env_kwargs.augment={type: ShiftFlip, shift: -1}
env_kwargs.augment={type: ShiftFlip, shift: a}
env_kwargs.observe_history=abc
env_kwargs.observe_classifier_features=5
env_kwargs.classifier=5
env_kwargs.classifier=nothing
env_kwargs.classifier={type: canvas, width: -1}
env_kwargs.classifier={type: canvas, width: a}
env_kwargs.classifier={type: canvas, width: 1e9}
env_kwargs.classifier={type: canvas, nothing: 1}
env_kwargs.classifier={type: canvas, 5: 1}
env_kwargs.classifier={type: file, path: /nowhere}
env_kwargs.classifier={type: file}
env_kwargs.classifier={type: file, path: 5}
env_kwargs.classifier={type: [a]}
env_kwargs.classifier={type: lstm, hidden_size: 0}
env_kwargs.classifier.seed=-1
env_kwargs.classifier.seed=abc
env_kwargs.classifier.seed=1.5
env_kwargs.dataset=5
env_kwargs.dataset=[digits]
env_kwargs.dataset={type: 5}
env_kwargs.dataset={type: folder}
env_kwargs.dataset={type: folder, path: 5}
env_kwargs.dataset={type: folder, path: /, size: -1}
env_kwargs.dataset={type: folder, 5: 5}
env_kwargs.dataset=null
env_kwargs.render_mode=human
env_kwargs.a.b.c=5
callback=5
callback=[{}]
callback=[[]]
callback=[null]
callback=[{a: 1, b: 2}]
callback=[{5: 1}]
callback={policies.PackedSequences: 5}
callback={policies.CoTrainingCallback: [1]}
callback=policies.Nothing
callback=policies.GlimpsePolicy
callback=os.system
callback=[{policies.CoTrainingCallback: {pretraining: -1}}]
callback=[{policies.CoTrainingCallback: {pretraining: abc}}]
callback=[{policies.CoTrainingCallback: {pretraining: 1e12}}]
callback=[{policies.CoTrainingCallback: {pretraining: .inf}}]
callback=[{policies.CoTrainingCallback: {pretraining: 1.5}}]
callback=[{policies.CoTrainingCallback: {gaze: 5}}]
callback=[{policies.CoTrainingCallback: {gaze: Nowhere}}]
callback=[{policies.CoTrainingCallback: {gaze: {type: Uniform, zoom: 7}}}]
callback=[{policies.CoTrainingCallback: {epochs: -1}}]
callback=[{policies.CoTrainingCallback: {epochs: abc}}]
callback=[{policies.CoTrainingCallback: {random_share: 1}}]
callback=[{policies.CoTrainingCallback: {random_share: -0.1}}]
callback=[{policies.CoTrainingCallback: {capacity: 0}}]
callback=[{policies.CoTrainingCallback: {batch_size: 1}}]
callback=[{policies.CoTrainingCallback: {batch_size: 2.5}}]
callback=[{policies.CoTrainingCallback: {handover: 2}}]
callback=[{policies.CoTrainingCallback: {frozen: abc}}]
callback=[{policies.CoTrainingCallback: {learning_rate: -1}}]
callback=[{policies.CoTrainingCallback: {learning_rate: abc}}]
callback=[{policies.CoTrainingCallback: {weight_decay: -1}}]
callback=[{policies.CoTrainingCallback: {max_grad_norm: 0}}]
callback=[{policies.CoTrainingCallback: {label_smoothing: 1}}]
callback=[{policies.CoTrainingCallback: {nothing: 1}}]
callback=[{policies.CoTrainingCallback: {5: 1}}]
callback=[{policies.EpsilonGreedy: {initial: 2}}]
callback=[{policies.EpsilonGreedy: {initial: abc}}]
callback=[{glimpse_lab.ScanpathImages: {n_images: 0}}]
callback=[{glimpse_lab.ScanpathImages: {every: abc}}]
normalize=true
normalize={norm_obs: true}
frame_stack=4
env_wrapper=gymnasium.wrappers.X
vec_env_wrapper=[a]
policy_kwargs="dict(net_arch=[32"
policy_kwargs="dict(net_arch=open('x'))"
policy_kwargs="dict(**x)"
policy_kwargs="dict(5)"
env_kwargs="{'budget': -3}"
env_kwargs="{'budget': x}"
env_kwargs="{1, 2}"
seed=5
device=cuda
env=x
verbose=abc
_init_setup_model=false
tensorboard_log=/x
nothing=1
5=5
a.b=5
x=[
x={
x=!!python/object:os.system {}
x=2024-99-99
x=&a [*a]
"""

#: callbacks that find out when they see the model
AT_THE_START = """
callback=policies.PackedSequences
callback=[policies.EpsilonGreedy]
callback=[policies.CACLA]
callback=[{glimpse_lab.ScanpathImages: {split: nowhere}}]
"""

ARGUMENTS = [
    ["--threads", "-1"],
    ["--threads", "0"],
    ["--threads", "1.5"],
    ["--env", ""],
    ["--env", "../x"],
    ["--env", "a\0b"],
    ["--resume="],
    ["--resume", "/dev/null"],
    ["--resume", "a\0b"],
    ["--total-timesteps", "nan"],
    ["--total-timesteps", "inf"],
    ["--total-timesteps", "-5"],
    ["--total-timesteps", "1.5"],
    ["--total-timesteps", "2k"],
    ["--seed", "-1"],
    ["--seed", str(2**40)],
    ["--n-envs", "1.5"],
    ["--n-envs", "1000000000"],
    ["--name", ""],
    ["--name", "a/b"],
    ["--name", "x" * 300],
    ["--name", "caf\udce9"],
    ["--recipe", ""],
    ["--recipe", "/"],
    ["--dataset", ""],
    ["--dataset", "folder:"],
    ["--dataset", "folder:x\0y"],
    ["--dataset", "../x"],
    ["--classifier", "/"],
    ["--set"],
    ["--set", "a..b=1"],
    ["--seeds", "5-1"],
    ["--seeds", "0-99999999999"],
    ["--sweep", "env_kwargs.budget=0,1"],
    ["--sweep", "gamma=2,3"],
    ["--sweep", "env_kwargs.budget=[,"],
    ["--sweep-cost", "nan", "0"],
    ["--jobs", "0", "--seeds", "1,2"],
    ["--tune", "0"],
    ["--tune", "1", "--tune-space", "nowhere"],
    ["--packages", ""],
    ["--packages", ".x"],
    ["--packages", "a\0b"],
    ["--packages", "raises_at_import"],
    ["--packages", "leaves_at_import"],
    ["--packages", "is_no_python"],
    ["--device", "meta"],
    ["--device", ""],
    ["--nothing"],
]

CHANGES: list[dict[str, Any]] = [
    {"packages": 5},
    {"packages": [5]},
    {"packages": ["os"]},
    {"env_kwargs": 5},
    {"env_kwargs": {5: 5}},
    {"env_kwargs": {"sensor": 5}},
    {"env_kwargs": {"sensor": {"type": "Crop", 5: 5}}},
    {"env_kwargs": {"budget": 10**9}},
    {"env_id": 5},
    {"env_id": "CartPole-v1"},
    {"algorithm": []},
    {"recipe": {}},
    {"recipe": {"n_envs": 1e9, "n_timesteps": 1}},
    {"recipe": {"n_envs": 1, "n_timesteps": float("nan")}},
    {"seed": -1},
    {"seed": 2**70},
    {"dataset": 5},
    {"git": 5},
    {"versions": 5},
    {"format": []},
]

NO_YAML = ["[", "\0", "&a [*a]", "!!python/object:os.system {}", "a: 2024-99-99", "[" * 3000, "%"]


def assert_one_line(status: int, errors: str) -> None:
    assert status != 0
    (line,) = errors.strip().split("\n")
    assert line.startswith("error: ") and "--debug" not in line and len(line) < 1000


@pytest.mark.parametrize("setting", SETTINGS.strip().split("\n"))
def test_a_wrong_setting(setting: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    status, _, errors = call(training.main, "--runs", runs, "--set", setting)
    assert_one_line(status, errors)
    assert not runs.exists()


@pytest.mark.parametrize("setting", AT_THE_START.strip().split("\n"))
def test_a_callback_that_does_not_fit(setting: str, tmp_path: Path) -> None:
    status, _, errors = call(training.main, "--runs", tmp_path, "--set", setting)
    assert_one_line(status, errors)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_a_wrong_argument(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raises_at_import.py").write_text("1 / 0")
    (tmp_path / "leaves_at_import.py").write_text("raise SystemExit('left')")
    (tmp_path / "is_no_python.py").write_text("def (")
    monkeypatch.chdir(tmp_path)
    status, _, errors = call(training.main, "--runs", "runs", *arguments)
    assert_one_line(status, errors)
    assert not list(Path("runs").glob("**/config.yml"))


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run").path


@pytest.fixture
def config_file(run_path: Path) -> Any:
    """The ``config.yml`` of a run, which is itself again after the test."""
    file = run_path / "config.yml"
    content = file.read_text()
    yield file
    file.write_text(content)


def assert_both_end_in_one_line(run: Path) -> None:
    status, _, errors = call(evaluation.main, run, name="eval.py")
    assert_one_line(status, errors)
    status, _, errors = call(training.main, "--resume", run)
    assert_one_line(status, errors)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_wrong_configuration_of_a_run(change: dict[str, Any], config_file: Path) -> None:
    content = copy.deepcopy(yaml.safe_load(config_file.read_text()))
    for key, value in change.items():
        inside = isinstance(value, dict) and isinstance(content[key], dict) and value
        content[key] = {**content[key], **value} if inside else value
    config_file.write_text(yaml.safe_dump(content))
    assert_both_end_in_one_line(config_file.parent)


@pytest.mark.parametrize("text", NO_YAML, ids=lambda text: repr(text[:20]))
def test_a_run_whose_configuration_is_no_yaml(text: str, config_file: Path) -> None:
    config_file.write_text(text)
    assert_both_end_in_one_line(config_file.parent)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--budget", "0"],
        ["--budget", "1000000000"],
        ["--video", "-1"],
        ["--export", "x.txt"],
        ["--export", "/proc/x.csv"],
        ["--dataset", "mnist"],
        ["--dataset", "folder:/nowhere"],
        ["--packages", "nowhere"],
        ["--split", "all"],
        ["--threads", "none"],
    ],
    ids=" ".join,
)
def test_a_wrong_argument_of_an_evaluation(arguments: list[str], run_path: Path) -> None:
    status, _, errors = call(evaluation.main, run_path, *arguments, name="eval.py")
    assert_one_line(status, errors)


def test_more_threads_than_cores_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr("torch.set_num_threads", taken.append)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    arguments = ["--threads", 100_000, "--env", "x", "--runs", tmp_path]
    errors = call(training.main, *arguments).errors
    assert taken == [3] and "this machine has 3" in errors
