"""Recorded behaviour: episodes of every id, three short trainings and a run of an older version.

Recorded anew by ``pytest tests/test_golden.py -m "" --record-golden``, for a change of
behaviour that is meant and named in the changelog.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier
from forks import call_in_fork
from gymnasium import spaces
from numpy.typing import NDArray
from scripts import fail

from glimpse_envs.registration import REGISTERED
from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train as training

GOLDEN = Path(__file__).parent / "golden"
STEPS, LANES, SEED = 200, 2, 11
GO_ON = 0.8  # probability that an action does not answer


@pytest.fixture(scope="module")
def recording(request: pytest.FixtureRequest) -> bool:
    return request.config.getoption("--record-golden")


def draw_actions(space: spaces.Space, rng: np.random.Generator) -> Any:
    """A batch of actions for all lanes that answers only now and then, so that episodes go on."""
    space.seed(int(rng.integers(2**31)))
    rows = [space.sample() for _ in range(LANES)]
    on = rng.random(LANES) < GO_ON
    for lane in on.nonzero()[0]:
        if isinstance(space, spaces.Discrete):
            rows[lane] = rng.integers(6)
        elif isinstance(space, spaces.MultiDiscrete):
            rows[lane][-1] = 0
        elif isinstance(space, spaces.Dict):
            rows[lane]["decision"] = np.int64(0)
    if isinstance(space, spaces.Dict):
        return {key: np.stack([row[key] for row in rows]) for key in space}
    return np.stack(rows)


def fingerprint(values: Any) -> NDArray:
    """One number a lane.

    A checksum of bytes, a fixed projection of floats (so that the order of a sum may change),
    anything else as it is.
    """
    rows = np.asarray(values).reshape(LANES, -1)
    if rows.dtype == np.uint8:
        return np.array([zlib.crc32(np.ascontiguousarray(row).tobytes()) for row in rows])
    if rows.dtype.kind == "f":
        return rows @ np.random.default_rng(rows.shape[1]).normal(size=rows.shape[1])
    return rows.sum(axis=1)


def play(env_id: str) -> dict[str, NDArray]:
    """Two hundred steps of an id: fingerprints (steps + 1, lanes) of all that comes out."""
    parts = (
        {} if "Saccade" not in env_id and "RAM" not in env_id else {"classifier": NumpyClassifier()}
    )
    env = gym.make_vec(env_id, num_envs=LANES, **parts)
    rng = np.random.default_rng(SEED)
    observation, infos = env.reset(seed=SEED)
    rows = [{f"observation/{key}": fingerprint(value) for key, value in observation.items()}]
    for _ in range(STEPS):
        action = draw_actions(env.single_action_space, rng)
        observation, reward, terminated, _, infos = env.step(action)
        row = {f"observation/{key}": fingerprint(value) for key, value in observation.items()}
        row |= {"reward": fingerprint(reward), "terminated": fingerprint(terminated)}
        parts_of_action = action if isinstance(action, dict) else {"": action}
        row |= {f"action/{key}": fingerprint(part) for key, part in parts_of_action.items()}
        final = infos.get("final_info", {})
        row |= {f"info/{key}": fingerprint(infos[key]) for key in ("label", "prediction")}
        for key in ("samples", "n_glimpses", "coverage", "is_success"):
            column = final.get(key, final.get("glimpses") if key == "n_glimpses" else None)
            row[f"final/{key}"] = fingerprint(np.zeros(LANES) if column is None else column)
        rows.append(row)
    rows[0] = {key: rows[0].get(key, np.zeros(LANES)) for key in rows[1]}
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


@pytest.mark.parametrize("env_id", REGISTERED)
def test_episodes_are_those_of_before(env_id: str, recording: bool) -> None:
    file = GOLDEN / "episodes" / f"{env_id}.npz"
    played = play(env_id)
    if recording:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **{key: compact(rows) for key, rows in played.items()})
    with np.load(file) as recorded:
        assert set(recorded.files) == set(played)
        for key in recorded.files:
            np.testing.assert_allclose(
                played[key], recorded[key], rtol=1e-4, atol=2e-4, err_msg=f"{env_id} {key}"
            )


def compact(rows: NDArray) -> NDArray:
    if rows.dtype.kind == "f":
        return rows.astype(np.float32)
    return rows.astype(np.uint32 if rows.max() >= 2**15 else np.int16)


PRETRAINING = "{pretraining: 4096, batch_size: 64, learning_rate: 0.003, gaze: GAZE}"
SMALL = ["n_envs=16", "n_steps=16", "batch_size=64", "n_epochs=2", "env_kwargs.budget=4"]
TRAININGS = {
    "multicat": (
        "GlimpseDigits-MultiCat-v0",
        [*SMALL, "env_kwargs.scene=Plain", "env_kwargs.classifier={type: canvas, width: 8}"],
        "{type: Uniform, zoom: 0.5}",
    ),
    "saccade": (
        "GlimpseMNIST-Saccade-v0",
        [*SMALL, "env_kwargs.classifier.width=8", "policy_kwargs.log_std_init=-1.6"],
        "{type: Uniform}",
    ),
    "hybrid": (
        "GlimpseDigits-Hybrid-v0",
        [*SMALL, "env_kwargs.scene=Plain", "env_kwargs.classifier.width=8"],
        "{type: Uniform, zoom: 0.5}",
    ),
}


def train_as_before(words: list[str]) -> None:
    """What ``train.py`` does, with the arithmetic of the machine that recorded."""
    # matrix units of newer processors round bfloat16 products otherwise
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_BF16"
    sys.argv = ["train.py", *words]
    training.main()


def train(name: str, runs: Path) -> Path:
    """Train shortly, as a user would, and return the run directory."""
    env_id, settings, gaze = TRAININGS[name]
    callback = f"callback=[{{policies.CoTrainingCallback: {PRETRAINING.replace('GAZE', gaze)}}}]"
    words = ["--env", env_id, "--runs", runs, "--name", name, "--total-timesteps", 2048]
    words += ["--no-video", "--set", *settings, callback]
    result = call_in_fork(train_as_before, [str(word) for word in words])
    assert result.status == 0, result.errors
    return runs / env_id / name


def outcome(run: Path) -> dict[str, Any]:
    """What a training came to: its losses in order, and its exact evaluation."""
    with open(run / "progress.csv") as file:
        rows = list(csv.DictReader(file))
    metrics = json.loads((run / "metrics.json").read_text())
    columns = ("train/loss", "train/value_loss", "train/entropy_loss", "classifier/loss")
    (random,) = metrics["baselines"].values()
    return {
        "losses": {name: [float(row[name]) for row in rows if row.get(name)] for name in columns},
        "accuracy": metrics["accuracy"],
        "accuracy_by_glimpse": metrics["accuracy_by_glimpse"],
        "mean_glimpses": metrics["mean_glimpses"],
        "coverage": metrics["coverage"],
        "random_gaze": random["accuracy"],
        "n_images": metrics["n_images"],
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "multicat" else pytest.mark.slow)
        for name in TRAININGS
    ],
)
def test_short_trainings_come_to_the_same(name: str, recording: bool, tmp_path: Path) -> None:
    file = GOLDEN / f"training-{name}.json"
    run = train(name, tmp_path)
    found = outcome(run)
    if recording:
        file.write_text(json.dumps(found, indent=1) + "\n")
    recorded = json.loads(file.read_text())
    assert found["n_images"] == recorded["n_images"]
    for column, losses in recorded["losses"].items():
        # rounding grows with every update: the beginning is compared closely, the end is not
        assert len(found["losses"][column]) == len(losses)
        np.testing.assert_allclose(found["losses"][column][:2], losses[:2], rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(found["losses"][column], losses, rtol=0.1, atol=0.05)
    for key in ("accuracy", "accuracy_by_glimpse", "coverage", "random_gaze"):
        np.testing.assert_allclose(found[key], recorded[key], atol=0.03, err_msg=key)
    assert found["mean_glimpses"] == pytest.approx(recorded["mean_glimpses"], abs=0.15)


OLD_RUN = GOLDEN / "run-0.1"


@pytest.mark.parametrize(("script", "option"), [(evaluation, "--quick"), (training, "--resume")])
def test_a_run_of_an_older_version_is_refused(script: ModuleType, option: str) -> None:
    before = sorted(file.name for file in OLD_RUN.iterdir())
    message = fail(script.main, option, OLD_RUN)
    assert "made by an older version (glimpse-envs 0.1.0, commit 10cf287)" in message
    assert "evaluate it with that version, or train anew" in message
    assert sorted(file.name for file in OLD_RUN.iterdir()) == before
