"""The words of ``train.py`` and ``eval.py``."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from cases import Box, Case, check, either, refused, works
from runner import ROOT, check_ending, command

from glimpse_lab.cli import eval as eval_cli
from glimpse_lab.cli import train as train_cli

#: a training of a second
SHORT = (
    "--total-timesteps=64 --n-envs=4 --no-video --classifier=none "
    "--set n_steps=8 batch_size=16 n_epochs=1 env_kwargs.budget=3"
).split()


def train(*words: str) -> Callable[[Box], Any]:
    """Return a call of ``train.py``; BOX in a word is the case's folder."""
    return lambda box: command(train_cli.main, box, "train.py", *words)


def evaluate(*words: str) -> Callable[[Box], Any]:
    """Return a call of ``eval.py``."""
    return lambda box: command(eval_cli.main, box, "eval.py", *words)


def process(script: str, *words: str) -> Callable[[Box], Any]:
    """Return a call of a script in a process of its own."""

    def do(box: Box) -> Any:
        done = subprocess.run(
            [sys.executable, str(ROOT / script), *words], capture_output=True, text=True
        )
        if done.returncode:
            check_ending(done.returncode, done.stderr)
        return done.stdout

    return do


def trained(*words: str, name: str, accuracy: bool = True) -> Callable[[Box], str]:
    """Return a short training whose metrics are looked at."""

    def do(box: Box) -> str:
        train(*words, *SHORT)(box)
        file = box.work / "runs" / "GlimpseDigits-MultiCat-v0" / name / "metrics.json"
        found = json.loads(file.read_text())
        right = found["n_images"] == 359 and 0 <= found["accuracy"] <= 1
        return check(right and found["timesteps"] == 64, "359 images after 64 timesteps")

    return do


def _json(box: Box) -> str:
    output, _ = evaluate("runs/theirs", "--quick", "--json")(box)
    found = json.loads(output)
    return check(found["n_images"] == 359 and found["split"] == "test", "JSON of 359 test images")


def _exported(box: Box) -> str:
    evaluate("runs/theirs", "--quick", "--export", "runs/ä b.csv", "--split", "validation")(box)
    with (box.work / "runs" / "ä b.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = {row["image"] for row in rows}
    lasts = sum(row["last"] in ("True", "true", "1") for row in rows)
    return check(len(images) == lasts == 144, "144 validation images, each with one last glimpse")


def _smaller_budget(box: Box) -> str:
    output, _ = evaluate("runs/theirs", "--quick", "--json", "--budget", "1")(box)
    return check(json.loads(output)["mean_glimpses"] == 1.0, "one glimpse an image")


def _resumed(box: Box) -> str:
    run = box.run("lstm")
    train("--resume", "runs/theirs", "--total-timesteps", "96", "--no-video")(box)
    found = json.loads((run / "metrics.json").read_text())
    return check(found["timesteps"] >= 96, "96 timesteps after a resume from 64")


def _package(content: str) -> Callable[[Box], Any]:
    return lambda box: box.text("mine.py", content)


def _file(name: str) -> Callable[[Box], Any]:
    return lambda box: box.text(name, "I am a file")


def _run(box: Box) -> None:
    box.run()


_TRAIN = {
    "env empty": ["--env", ""],
    "env blank": ["--env", " \t"],
    "env of a later version": ["--env", "GlimpseDigits-MultiCat-v9"],
    "env of Gymnasium": ["--env", "MountainCar-v0"],
    "env a fox": ["--env", "🦊"],
    "env of 100,000 letters": ["--env", "G" * 100_000],
    "env with a path": ["--env", "../../../etc/passwd"],
    "env of a package that is not there": ["--env", "no_such.thing:GlimpseDigits-MultiCat-v0"],
    "env with an empty package": ["--env", ":"],
    "env a relative import": ["--env", "..x:GlimpseDigits-MultiCat-v0"],
    "dataset a folder without a name": ["--dataset", "folder:"],
    "dataset a folder that is not there": ["--dataset", "folder:BOX/nowhere"],
    "dataset of nobody's home": ["--dataset", "folder:~no_such_user/pictures"],
    "dataset a star": ["--dataset", "*"],
    "dataset above the data directory": ["--dataset", "../secrets"],
    "dataset a folder of 5,000 letters": ["--dataset", "folder:" + "d" * 5_000],
    "dataset /proc": ["--dataset", "folder:/proc/self"],
    "classifier a word": ["--classifier", "transformer"],
    "classifier a folder": ["--classifier", "BOX"],
    "classifier a device": ["--classifier", "/dev/zero"],
    "classifier too long a name": ["--classifier", "c" * 10_000],
    "seed -1": ["--seed", "-1"],
    "seed 1.5": ["--seed", "1.5"],
    "seed of 5,000 digits": ["--seed", "9" * 5_000],
    "seed 2^31": ["--seed", str(2**31)],
    "timesteps nan": ["--total-timesteps", "nan"],
    "timesteps inf": ["--total-timesteps", "inf"],
    "timesteps -5": ["--total-timesteps", "-5"],
    "timesteps 0": ["--total-timesteps", "0"],
    "timesteps 0.5": ["--total-timesteps", "0.5"],
    "timesteps 1e300": ["--total-timesteps", "1e300"],
    "n-envs 0": ["--n-envs", "0"],
    "n-envs a million": ["--n-envs", "1000000"],
    "n-envs x": ["--n-envs", "x"],
    "recipe not there": ["--recipe", "nowhere/ppo.yml"],
    "recipe of another algorithm": ["--recipe", "/dev/null"],
    "recipe an empty folder": ["--recipe", "BOX/home"],
    "set =": ["--set", "="],
    "set without a value": ["--set", "learning_rate"],
    "set an empty value": ["--set", "learning_rate="],
    "set broken YAML": ["--set", "learning_rate=[1,"],
    "set a Python tag": ["--set", "gamma=!!python/object/apply:os.system [id]"],
    "set a dunder": ["--set", "__class__=1"],
    "set two dots": ["--set", "env_kwargs..budget=1"],
    "set into a number": ["--set", "gamma.x=1"],
    "set gamma 2": ["--set", "gamma=2"],
    "set batch_size 1e400": ["--set", "batch_size=1e400"],
    "set policy os.system": ["--set", "policy=os.system"],
    "set callback subprocess.Popen": ["--set", "callback=subprocess.Popen"],
    "set optimizer os.system": ["--set", "policy_kwargs.optimizer_class=os.system"],
    "set an optimizer by name": ["--set", "policy_kwargs.optimizer_class=Adam"],
    "set an optimizer's lr a word": ["--set", "policy_kwargs.optimizer_kwargs={lr: fast}"],
    "set an optimizer's unknown key": ["--set", "policy_kwargs.optimizer_kwargs={speed: 1}"],
    "set optimizer_kwargs a list": ["--set", "policy_kwargs.optimizer_kwargs=[1]"],
    "set an extractor of another package": [
        "--set",
        "policy_kwargs.features_extractor_class=os.path",
    ],
    "set budget a word": ["--set", "env_kwargs.budget=three"],
    "set a reward's unknown key": ["--set", "env_kwargs.reward={type: Terminal, bonus: 1}"],
    "set sensor size -3": ["--set", "env_kwargs.sensor={type: Crop, size: -3}"],
    "set rollout_buffer_class a word": ["--set", "rollout_buffer_class=list"],
    "set device": ["--set", "device=cuda"],
    "set verbose": ["--set", "verbose=7"],
    "set render_mode": ["--set", "env_kwargs.render_mode=human"],
    "set use_sde with the hybrid policy": [
        "--env",
        "GlimpseDigits-Hybrid-v0",
        "--set",
        "use_sde=true",
    ],
    "seeds empty": ["--seeds", ""],
    "seeds 3-": ["--seeds", "3-"],
    "seeds 9-0": ["--seeds", "9-0"],
    "seeds a billion": ["--seeds", "0-999999999"],
    "seeds twice": ["--seeds", "4,4"],
    "seeds and seed": ["--seeds", "0-1", "--seed", "0"],
    "sweep a word": ["--sweep", "budget"],
    "sweep without values": ["--sweep", "env_kwargs.budget="],
    "sweep of one broken value": ["--sweep", "env_kwargs.budget=2,x"],
    "sweep-cost nan": ["--sweep-cost", "nan"],
    "sweep-cost -1": ["--sweep-cost", "-1"],
    "sweep-cost twice": ["--sweep-cost", "0.1", "0.1"],
    "jobs alone": ["--jobs", "2"],
    "tune 0": ["--tune", "0"],
    "tune with seeds": ["--tune", "2", "--seeds", "0-1"],
    "tune-space alone": ["--tune-space", "x.yml"],
    "tune-space not there": ["--tune", "1", "--tune-space", "nowhere.yml"],
    "device tpu": ["--device", "tpu"],
    "device cuda:99": ["--device", "cuda:99"],
    "device meta": ["--device", "meta"],
    "device empty": ["--device", ""],
    "threads 0": ["--threads", "0"],
    "packages not there": ["--packages", "no.such.package"],
    "packages a path": ["--packages", "../x"],
    "packages .": ["--packages", "."],
    "runs is below /dev/null": ["--runs", "/dev/null/runs"],
    "name ..": ["--name", ".."],
    "name with a folder": ["--name", "a/b"],
    "name absolute": ["--name", "BOX/outside/x"],
    "name too long": ["--name", "n" * 300],
    "name of no UTF-8": ["--name", os.fsdecode(b"\xff\xfe")],
    "name with a null byte": ["--name", "a\0b"],
    "resume nowhere": ["--resume", "nowhere"],
    "resume without runs": ["--resume"],
    "resume with an id": ["--resume", "runs/x", "--env", "GlimpseDigits-MultiCat-v0"],
    "resume with a null byte": ["--resume", "a\0b"],
    "an option that is none": ["--epochs", "5"],
    "an option cut short to several": ["--se", "5"],
    "a word too many": ["digits"],
}

_EVAL = {
    "no run": [],
    "a run that is not there": ["runs/nobody"],
    "a run that is a star": ["runs/*"],
    "a run with a null byte": ["a\0b"],
    "a run of 6,000 letters": ["r" * 6_000],
    "a run that is a fox": ["🦊"],
    "the folder of the runs": ["runs"],
    "the model instead of the run": ["runs/theirs/model.zip"],
    "split holdout": ["runs/theirs", "--split", "holdout"],
    "budget 0": ["runs/theirs", "--budget", "0"],
    "budget 1e9": ["runs/theirs", "--budget", "1000000000"],
    "video -1": ["runs/theirs", "--video", "-1"],
    "video ten": ["runs/theirs", "--video", "ten"],
    "export to another format": ["runs/theirs", "--quick", "--export", "x.xlsx"],
    "export without a suffix": ["runs/theirs", "--quick", "--export", "csv"],
    "export to a suffix alone": ["runs/theirs", "--quick", "--export", ".csv"],
    "export below a device": ["runs/theirs", "--quick", "--export", "/dev/null/x.csv"],
    "export onto a folder": ["runs/theirs", "--quick", "--export", "there.csv"],
    "export with a null byte": ["runs/theirs", "--quick", "--export", "a\0.csv"],
    "export to too long a name": ["runs/theirs", "--quick", "--export", "x" * 300 + ".csv"],
    "hidden without an export": ["runs/theirs", "--hidden"],
    "compare one run": ["runs/theirs", "--compare"],
    "two runs without compare": ["runs/theirs", "runs/theirs"],
    "compare a run with itself": ["runs/theirs", "runs/../runs/theirs", "--compare"],
    "out without compare": ["runs/theirs", "--out", "there"],
    "compare and film": ["runs/theirs", "runs/x", "--compare", "--video", "2"],
    "scanpaths with a budget": ["runs/theirs", "--scanpaths", "2", "--budget", "2"],
    "another data set": ["runs/theirs", "--dataset", "folder:BOX/home"],
    "device a number": ["runs/theirs", "--device", "0.5"],
    "json a value": ["runs/theirs", "--json=yes"],
}


def _theirs_and_folder(box: Box) -> None:
    box.run()
    (box.work / "there.csv").mkdir()


CASES: list[Case] = [
    *(refused(f"train: {name}", train(*words)) for name, words in _TRAIN.items()),
    *(
        refused(f"eval: {name}", evaluate(*words), _theirs_and_folder)
        for name, words in _EVAL.items()
    ),
    refused("train: runs is a file", train("--runs", "runs.txt", *SHORT), _file("runs.txt")),
    refused("train: packages raises", train("--packages", "mine"), _package("1 / 0")),
    refused("train: packages exits", train("--packages", "mine"), _package("raise SystemExit(0)")),
    refused("train: packages does not parse", train("--packages", "mine"), _package("def f(:")),
    refused("train: classifier a text file", train("--classifier", "c.zip"), _file("c.zip")),
    refused(
        "train: classifier a pipe",
        train("--classifier", "pipe"),
        lambda box: os.mkfifo(box.work / "pipe"),
        limit=30,
    ),
    refused(
        "train: a name that is there",
        train("--name", "x", *SHORT),
        lambda box: box.text("runs/GlimpseDigits-MultiCat-v0/x/notes.txt", "mine"),
    ),
    refused("eval: a file as run", evaluate("notes.txt"), _file("notes.txt")),
    either("train: the fox as a name", trained("--name", "🦊 naïve", name="🦊 naïve")),
    either("train: a name with a line break", trained("--name", "a\nb", name="a\nb")),
    works("train: a name like an option", trained("--name=-rf", name="-rf")),
    works("train: a name of TeX", trained("--name", "$x_{1}$ & 50%", name="$x_{1}$ & 50%")),
    either("train: a seed in Arabic digits", trained("--seed", "٣", "--name", "s", name="s")),
    works("eval: JSON alone on stdout", _json, _run),
    works("eval: an export to a name with a space", _exported, _run),
    works("eval: a budget of one", _smaller_budget, _run),
    works("train: resume and extend", _resumed, lambda box: box.run("lstm")),
    refused("process: train.py with nonsense", process("train.py", "--env", "\U0001f600")),
    refused("process: train.py with bytes", process("train.py", "--name", os.fsdecode(b"\xe9"))),
    refused("process: eval.py without a run", process("eval.py", "nowhere", "--video", "3")),
]
