"""The functions of ``glimpse_lab``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cases import Box, Case, check, refused, works

import glimpse_lab
from glimpse_envs import GlimpseConfig

ENV = "GlimpseDigits-MultiCat-v0"
THEIRS = "runs/theirs"


def train(*arguments: Any, **named: Any) -> Callable[[Box], Any]:
    """Return a call of ``glimpse_lab.train``."""
    return lambda box: glimpse_lab.train(*arguments, **{"video": False, **named})


def _run(box: Box) -> Path:
    return box.run()


def _two(box: Box) -> None:
    box.run()
    (box.work / "runs/other").mkdir(parents=True)
    for file in (box.assets / "run").iterdir():
        if file.is_file():
            (box.work / "runs/other" / file.name).write_bytes(file.read_bytes())


def called(name: str, *arguments: Any, **named: Any) -> Callable[[Box], Any]:
    """Return a call of a function of ``glimpse_lab``."""
    return lambda box: getattr(glimpse_lab, name)(*arguments, **named)


def _loaded(box: Box) -> str:
    model, env = glimpse_lab.load(THEIRS, "validation")
    observation, state = env.reset(), None
    first = [info["label"] for info in env.reset_infos]
    action, state = model.predict(
        observation, state, np.ones(env.num_envs, bool), deterministic=True
    )
    labels = set(env.config.shown_split.labels.tolist())
    right = env.config.split == "validation" and set(first) <= labels
    return check(
        right and len(action) == env.num_envs, "validation images, an action for each lane"
    )


def _evaluated(box: Box) -> str:
    first, second = glimpse_lab.evaluate(THEIRS), glimpse_lab.evaluate(Path(THEIRS))
    return check(
        first.accuracy == second.accuracy and first.n_images == 359, "the same accuracy twice"
    )


def _twice_the_same(box: Box) -> str:
    result = glimpse_lab.compare_runs([THEIRS, Path("runs/other")], index=20)
    accuracies = {row.accuracy for row in result.rows}
    return check(len(result.rows) == 2 and len(accuracies) == 1, "two rows of equal accuracy")


def _trained(box: Box) -> str:
    settings = {"n_steps": np.int64(8), "batch_size": 16, "n_epochs": 1, "env_kwargs.budget": 3}
    run = glimpse_lab.train(
        ENV,
        classifier="none",
        overrides=settings,
        total_timesteps=np.float32(64),
        n_envs=np.int32(4),
        video=False,
        name="x",
    )
    return check(
        glimpse_lab.Run.open(run.path).config.n_timesteps == 64, "64 timesteps in config.yml"
    )


_TRAIN: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "an id that is a number": ((5,), {}),
    "an id that is an environment": ((object(),), {}),
    "an id that is a configuration": ((GlimpseConfig(),), {}),
    "dataset a number": ((ENV,), {"dataset": 5}),
    "dataset an array": ((ENV,), {"dataset": np.zeros((4, 8, 8), np.uint8)}),
    "dataset a path": ((ENV,), {"dataset": Path("pictures")}),
    "classifier None": ((ENV,), {"classifier": None}),
    "classifier a dict": ((ENV,), {"classifier": {"type": "canvas"}}),
    "seed None": ((ENV,), {"seed": None}),
    "seed -1": ((ENV,), {"seed": -1}),
    "seed 0.5": ((ENV,), {"seed": 0.5}),
    "seed a text": ((ENV,), {"seed": "0"}),
    "seed true": ((ENV,), {"seed": True}),
    "overrides a list": ((ENV,), {"overrides": ["n_steps=8"]}),
    "overrides a text": ((ENV,), {"overrides": "n_steps=8"}),
    "overrides with an object": ((ENV,), {"overrides": {"env_kwargs.sensor": object()}}),
    "overrides with a number as key": ((ENV,), {"overrides": {5: 1}}),
    "overrides with an array": ((ENV,), {"overrides": {"n_steps": np.arange(3)}}),
    "total_timesteps a text": ((ENV,), {"total_timesteps": "64"}),
    "total_timesteps NaN": ((ENV,), {"total_timesteps": float("nan")}),
    "total_timesteps 64.5": ((ENV,), {"total_timesteps": 64.5}),
    "n_envs 0": ((ENV,), {"n_envs": 0}),
    "n_envs a text": ((ENV,), {"n_envs": "4"}),
    "n_envs true": ((ENV,), {"n_envs": True}),
    "recipe a number": ((ENV,), {"recipe": 5}),
    "recipe a dict": ((ENV,), {"recipe": {"n_envs": 4}}),
    "runs a number": ((ENV,), {"runs": 5}),
    "runs None": ((ENV,), {"runs": None}),
    "name a number": ((ENV,), {"name": 5}),
    "name of spaces with folders": ((ENV,), {"name": "a / b"}),
    "device a number": ((ENV,), {"device": 5}),
    "device None": ((ENV,), {"device": None}),
    "packages a text": ((ENV,), {"packages": "no_such_package"}),
    "packages a number": ((ENV,), {"packages": 5}),
    "wandb a number": ((ENV,), {"wandb": 5}),
    "an argument that is none": ((ENV,), {"timesteps": 5}),
}
_OTHERS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "load: None": ("load", (None,), {}),
    "load: a number": ("load", (5,), {}),
    "load: bytes": ("load", (b"runs/theirs",), {}),
    "load: an empty text": ("load", ("",), {}),
    "load: split a number": ("load", (THEIRS, 5), {}),
    "load: split of another name": ("load", (THEIRS, "dev"), {}),
    "load: device of another name": ("load", (THEIRS,), {"device": "gpu"}),
    "load: dataset a number": ("load", (THEIRS,), {"dataset": 5}),
    "evaluate: budget 0": ("evaluate", (THEIRS,), {"budget": 0}),
    "evaluate: budget 2.5": ("evaluate", (THEIRS,), {"budget": 2.5}),
    "evaluate: budget a text": ("evaluate", (THEIRS,), {"budget": "3"}),
    "evaluate: budget true": ("evaluate", (THEIRS,), {"budget": True}),
    "evaluate: split None": ("evaluate", (THEIRS, None), {}),
    "resume: total_timesteps NaN": ("resume", (THEIRS,), {"total_timesteps": float("nan")}),
    "resume: total_timesteps a text": ("resume", (THEIRS,), {"total_timesteps": "many"}),
    "resume: nothing there": ("resume", ("runs/nobody",), {}),
    "resume: None": ("resume", (None,), {}),
    "compare_runs: nothing": ("compare_runs", ([],), {}),
    "compare_runs: one": ("compare_runs", ([THEIRS],), {}),
    "compare_runs: one twice": ("compare_runs", ([THEIRS, THEIRS],), {}),
    "compare_runs: a text": ("compare_runs", (THEIRS,), {}),
    "compare_runs: None": ("compare_runs", (None,), {}),
    "compare_runs: index -1": ("compare_runs", ([THEIRS, "runs/other"],), {"index": -1}),
    "compare_runs: index 0": ("compare_runs", ([THEIRS, "runs/other"],), {"index": 0}),
    "compare_runs: index beyond": (
        "compare_runs",
        ([THEIRS, "runs/other"],),
        {"index": np.array([10**6])},
    ),
    "compare_runs: index of floats": (
        "compare_runs",
        ([THEIRS, "runs/other"],),
        {"index": np.array([0.5])},
    ),
    "compare_runs: index a text": ("compare_runs", ([THEIRS, "runs/other"],), {"index": "5"}),
    "resolve_config: a price NaN": ("resolve_config", (ENV,), {"price": float("nan")}),
    "resolve_config: a price of text": ("resolve_config", (ENV,), {"price": "cheap"}),
}

CASES: list[Case] = [
    *(refused(f"train: {name}", train(*words, **named)) for name, (words, named) in _TRAIN.items()),
    *(
        refused(name, called(function, *words, **named), _two)
        for name, (function, words, named) in _OTHERS.items()
    ),
    works("train with numbers of NumPy", _trained),
    works("load and act", _loaded, _run),
    works("evaluate twice", _evaluated, _run),
    works("compare equal runs", _twice_the_same, _two),
]
