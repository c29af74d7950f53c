"""Run folders of somebody else: configurations, tables and links made to harm."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import yaml
from cases import Box, Case, check, refused, symlink, works

import glimpse_lab
from areas.command_line import evaluate, train

EVAL = evaluate("runs/theirs", "--quick", "--json")
REPORT = evaluate("runs/theirs")
RESUME = train("--resume", "runs/theirs", "--total-timesteps", "96", "--no-video")


def config(**changes: Any) -> Callable[[Box], None]:
    """Return what changes entries of ``config.yml``; dots reach inside, None removes."""

    def make(box: Box) -> None:
        file = box.run() / "config.yml"
        content = yaml.safe_load(file.read_text())
        for key, value in changes.items():
            *outer, last = key.split("__")
            place = content
            for name in outer:
                place = place[name]
            place[last] = _boxed(value, box)
        file.write_text(yaml.safe_dump(content))

    return make


def _boxed(value: Any, box: Box) -> Any:
    return json.loads(json.dumps(value).replace("BOX", str(box.root)))


def written(name: str, content: str | bytes, run: str = "run") -> Callable[[Box], None]:
    """Return what replaces a file of the run."""

    def make(box: Box) -> None:
        data = content.encode() if isinstance(content, str) else content
        (box.run(run) / name).write_bytes(data)

    return make


def _link(name: str, target: str) -> Callable[[Box], None]:
    def make(box: Box) -> None:
        path = box.run() / name
        if path.exists():
            path.unlink()
        (box.outside / "kept").write_text("kept")
        symlink(path, target.replace("BOX", str(box.root)))

    return make


def _evaluated(box: Box) -> str:
    output, _ = EVAL(box)
    found = json.loads(output)
    return check(found["n_images"] == 359 and 0 <= found["accuracy"] <= 1, "359 images")


def _whole_report(box: Box) -> str:
    REPORT(box)
    page = (box.work / "runs/theirs/report.html").read_text()
    return check("<script>" not in page and "359" in page, "a page without the stranger's HTML")


def resumed(box: Box) -> str:
    """Resume the run, and check how far it went."""
    RESUME(box)
    found = json.loads((box.work / "runs/theirs/metrics.json").read_text())
    return check(found["timesteps"] >= 96, "96 timesteps")


def _compared(box: Box) -> str:
    shutil.copytree("runs/theirs", "runs/other")
    result = glimpse_lab.compare_runs(["runs/theirs", "runs/other"], index=9)
    return check({row.n_images for row in result.rows} == {9}, "two rows of 9 images")


CALLBACKS = "stable_baselines3.common.callbacks."
_CONFIG: dict[str, dict[str, Any]] = {
    "format 1": {"format": 1},
    "format 99": {"format": 99},
    "format a text": {"format": "2"},
    "format true": {"format": True},
    "env_id of another package": {"env_id": "os:GlimpseDigits-MultiCat-v0"},
    "env_id CartPole": {"env_id": "CartPole-v1"},
    "env_id a path": {"env_id": "../../x"},
    "env_id a list": {"env_id": ["GlimpseDigits-MultiCat-v0"]},
    "algorithm sac": {"algorithm": "sac"},
    "algorithm of the other kind": {"algorithm": "ppo_lstm"},
    "recipe a list": {"recipe": []},
    "recipe without a policy's size": {
        "recipe__policy_kwargs__features_extractor_kwargs__glimpse_dim": 33
    },
    "policy os.system": {"recipe__policy": "os.system"},
    "policy of a module that prints": {"recipe__policy": "this.that"},
    "n_envs 10^12": {"recipe__n_envs": 10**12},
    "n_steps 10^9": {"recipe__n_steps": 10**9},
    "net_arch of a terabyte": {"recipe__policy_kwargs__net_arch": [16384] * 1000},
    "callback EvalCallback": {
        "recipe__callback": [
            {CALLBACKS + "EvalCallback": {"eval_env": 1, "log_path": "BOX/outside"}}
        ]
    },
    "callback CheckpointCallback": {
        "recipe__callback": [
            {CALLBACKS + "CheckpointCallback": {"save_freq": 1, "save_path": "BOX/outside"}}
        ]
    },
    "callback subprocess.run": {
        "recipe__callback": [{"subprocess.run": {"args": ["touch", "BOX/outside/x"]}}]
    },
    "callback of SB3's own os": {
        "recipe__callback": ["stable_baselines3.common.callbacks.os.system"]
    },
    "callback a number": {"recipe__callback": 7},
    "seed -1": {"seed": -1},
    "seed 10^30": {"seed": 10**30},
    "seed a text": {"seed": "0"},
    "seed true": {"seed": True},
    "data set of another digest": {"dataset__digest": "0" * 16},
    "data set a folder of theirs": {"env_kwargs__dataset": {"type": "folder", "path": "/etc"}},
    "data set npz by path": {"env_kwargs__dataset": "../../x"},
    "packages os": {"packages": ["os"]},
    "packages numbers": {"packages": [1]},
    "packages a text": {"packages": "os"},
    "budget 10^9": {"env_kwargs__budget": 10**9},
    "sensor a path": {"env_kwargs__sensor": "/etc/passwd"},
    "an argument that is none": {"env_kwargs__entry_point": "os:system"},
    "versions a list": {"versions": [1]},
    "git a number": {"git": 5},
    "env_kwargs a text": {"env_kwargs": "budget"},
}

CONFIG_CASES: list[Case] = [
    *(refused(f"config.yml: {name}", EVAL, config(**changes)) for name, changes in _CONFIG.items()),
    refused("config.yml: empty", EVAL, written("config.yml", "")),
    refused("config.yml: a list", EVAL, written("config.yml", "- 1\n")),
    refused(
        "config.yml: a Python tag",
        EVAL,
        written("config.yml", "format: !!python/object/apply:os.mkdir [x]\n"),
    ),
    refused(
        "config.yml: an endless alias", EVAL, written("config.yml", "a: &a {b: *a}\nformat: 2\n")
    ),
    refused("config.yml: binary", EVAL, written("config.yml", bytes(range(256)))),
    refused(
        "config.yml: a million keys",
        EVAL,
        written("config.yml", "".join(f"k{i}: 1\n" for i in range(25_000))),
    ),
    refused(
        "config.yml: a folder",
        EVAL,
        lambda box: ((box.run() / "config.yml").unlink(), (box.run() / "config.yml").mkdir()),
    ),
    refused(
        "config.yml: a pipe",
        EVAL,
        lambda box: ((box.run() / "config.yml").unlink(), os.mkfifo(box.run() / "config.yml")),
        limit=30,
    ),
    refused(
        "config.yml: resume with a foreign callback",
        RESUME,
        config(recipe__callback=[CALLBACKS + "CheckpointCallback"]),
    ),
]

FILE_CASES: list[Case] = [
    refused("a link to the outside: model.zip", EVAL, _link("model.zip", "BOX/outside/kept")),
    refused(
        "a link to the outside: metrics.json", REPORT, _link("metrics.json", "BOX/outside/kept")
    ),
    refused("a link to the outside: figures", REPORT, _link("figures", "BOX/outside")),
    refused(
        "a link to the outside: training.lock", RESUME, _link("training.lock", "BOX/outside/kept")
    ),
    refused(
        "a link to the outside: progress.csv", RESUME, _link("progress.csv", "BOX/outside/kept")
    ),
    refused("figures is a file", REPORT, written("figures", "x")),
    refused("training.lock is a folder", RESUME, lambda box: (box.run() / "training.lock").mkdir()),
    works(
        "config.yml: a classifier of another width, which model.zip tells",
        _evaluated,
        config(env_kwargs__classifier__width=5),
    ),
    works(
        "config.yml: data and code in words",
        _whole_report,
        config(env_kwargs__dataset="digits", git="<script>alert(1)</script>"),
        limit=400,
    ),
    works("metrics.json: a text", _evaluated, written("metrics.json", "hello")),
    works(
        "metrics.json: 10,000 brackets, whole report",
        _whole_report,
        written("metrics.json", "[" * 10_000),
        limit=400,
    ),
    works(
        "progress.csv: binary",
        _compared,
        written("progress.csv", bytes(range(256))),
    ),
    works("progress.csv: binary, resumed", resumed, written("progress.csv", bytes(range(256)))),
    works(
        "progress.csv: a formula, resumed",
        resumed,
        written("progress.csv", "=cmd|'/C calc'!A0,time/total_timesteps\n1,x\n"),
    ),
    works("progress.csv: empty", _compared, written("progress.csv", "")),
    works(
        "progress.csv: ragged",
        _compared,
        written("progress.csv", 'a,b\n1\n1,2,3\n,,,,\n"\n'),
    ),
    works(
        "events of TensorBoard: broken, resumed",
        resumed,
        written("events.out.tfevents.1.x", b"\0" * 77),
    ),
    works("a whole run", _evaluated, lambda box: box.run()),
    works("an LSTM's run", _evaluated, lambda box: box.run("lstm")),
]
