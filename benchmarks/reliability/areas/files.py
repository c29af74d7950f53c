"""Places that cannot be written, and damaged caches."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from cases import Box, Case, SkippedError, check, refused, symlink, works
from runner import ROOT

import glimpse_lab
from areas.arrays import arrays
from areas.command_line import SHORT, evaluate, train
from areas.environments import vec
from glimpse_envs import pack_dataset
from glimpse_envs.files import check_writable, replacing
from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.evaluation.export import export_run
from policies.classifier.model import MEMBER, TorchClassifier, View, read_file

ENV = "GlimpseDigits-MultiCat-v0"
NOBODY = 65534


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of a size on a folder for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SkippedError(f"no small file system can be mounted here ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def on_small_disk(place: str, size: str, do: Callable[[Box], Any]) -> Callable[[Box], Any]:
    """Return a call whose folder is on a disk of this size."""

    def limited(box: Box) -> Any:
        with small_disk(box.work / "runs" / place if place else box.work / "runs", size):
            return do(box)

    return limited


def as_nobody(do: Callable[[Box], Any], *read_only: str) -> Callable[[Box], Any]:
    """Return a call without the rights of root, some folders read-only."""

    def limited(box: Box) -> Any:
        if os.getuid() == 0:
            for path in [box.root, *box.root.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            os.setgid(NOBODY), os.setuid(NOBODY)
        for name in read_only:
            (box.root / name).chmod(0o555)
        try:
            return do(box)
        finally:
            for name in read_only:
                (box.root / name).chmod(0o755)

    return limited


# ---- the cache of pretrained classifiers ----

PRETRAINED = train(
    "--total-timesteps=64",
    "--n-envs=4",
    "--no-video",
    "--name=x",
    "--set",
    "n_steps=8",
    "batch_size=16",
    "n_epochs=1",
    "env_kwargs.budget=3",
    "callback.CoTrainingCallback.pretraining=256",
    "callback.Imitation.episodes=64",
)


def _first(box: Box) -> Path:
    """Pretrain once, and return the file of the cache."""
    PRETRAINED(box)
    shutil.move(box.work / "runs" / ENV / "x", box.work / "first")
    return next((box.data / "classifiers").glob("*.pt"))


def damaged(change: Callable[[Path], Any]) -> Callable[[Box], None]:
    """Return what pretrains and damages the cache."""
    return lambda box: change(_first(box))


def _weights(run: Path) -> dict[str, th.Tensor]:
    return TorchClassifier.load(run / "model.zip").state_dict()


def _as_before(box: Box) -> str:
    """Train again; the same classifier must come of it."""
    PRETRAINED(box)
    ours, theirs = _weights(box.work / "first"), _weights(box.work / "runs" / ENV / "x")
    return check(
        all(th.equal(ours[k], theirs[k]) for k in ours), "the classifier of the first training"
    )


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def _nan(file: Path) -> None:
    content = read_file(file)
    for weight in content["weights"].values():
        if weight.is_floating_point():
            weight.fill_(float("nan"))
    buffer = io.BytesIO()
    th.save(content, buffer)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(MEMBER, buffer.getvalue())


# ---- numba's cache ----

KERNELS = """
import glimpse_envs, gymnasium
env = gymnasium.make("GlimpseDigits-MultiCat-v0")
print(env.reset(seed=0)[0]["glimpse"].sum())
"""


def _kernels(box: Box, cache: Path) -> str:
    """Run an environment in a process with this cache of numba; return what it prints."""
    if not os.access(sys.executable, os.X_OK):
        raise SkippedError("this Python is not for all users")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KERNELS], env=environment, capture_output=True, text=True
    )
    check(done.returncode == 0, f"it runs: {done.stderr[-300:]}")
    return done.stdout


def _right_sum(output: str) -> bool:
    return int(output) == int(gym.make(ENV).reset(seed=0)[0]["glimpse"].sum())


def kernels(change: Callable[[Path], Any]) -> Callable[[Box], str]:
    """Return a check of the first glimpse, before and after the cache is changed."""

    def do(box: Box) -> str:
        cache = box.root / "tmp" / "numba"
        first = _kernels(box, cache)
        for file in cache.rglob("*.nb?"):
            change(file)
        return check(_right_sum(first) and _right_sum(_kernels(box, cache)), "the same glimpse")

    return do


def _numba_full(box: Box) -> str:
    cache = box.root / "tmp" / "numba"
    with small_disk(cache, "16k"):
        return check(_right_sum(_kernels(box, cache)), "the glimpse without a cache")


def _numba_read_only(box: Box) -> str:
    cache = box.root / "tmp" / "numba"
    cache.mkdir()
    cache.chmod(0o555)
    return check(_right_sum(_kernels(box, cache)), "the glimpse without a cache")


# ---- files and disks ----


def _classifier(box: Box) -> TorchClassifier:
    return TorchClassifier(View.of(vec().config), "canvas", width=4)


def _interrupted_write(box: Box) -> str:
    path = box.text("kept.txt", "before")
    try:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        left = [file.name for file in box.work.iterdir()]
    return check(path.read_text() == "before" and left == ["kept.txt"], "the file of before, alone")


def _read_only_data(box: Box) -> str:
    PRETRAINED(box)
    metrics = json.loads((box.work / "runs" / ENV / "x" / "metrics.json").read_text())
    return check(
        metrics["timesteps"] == 64 and not list(box.data.iterdir()), "trained, nothing kept"
    )


def _small_export(box: Box) -> Any:
    with small_disk(box.work / "runs" / "small", "8k"):
        return evaluate(*EXPORT, "runs/small/x.csv")(box)


def _small_run(box: Box) -> Any:
    """Evaluate a run on a disk that has 16 kB left."""
    size = sum(file.stat().st_size for file in (box.assets / "run").rglob("*")) // 1024 + 200
    with small_disk(box.work / "runs", f"{size}k"):
        box.run()
        free = os.statvfs(box.work / "runs")
        filler = max(0, free.f_bavail * free.f_bsize - 16_384)
        (box.work / "runs" / "filler").write_bytes(b"0" * filler)
        return evaluate("runs/theirs", "--quick", "--video", "1")(box)


def _small_pack(box: Box) -> Any:
    images = np.zeros((2000, 8, 8, 1), np.uint8)
    with small_disk(box.work / "runs" / "small", "8k"):
        return pack_dataset(
            "runs/small/x.npz", **arrays(train_images=images, train_labels=np.arange(2000) % 2)
        )


def _small_cache(box: Box) -> str:
    with small_disk(box.data / "classifiers", "8k"):
        PRETRAINED(box)
    metrics = json.loads((box.work / "runs" / ENV / "x" / "metrics.json").read_text())
    return check(metrics["timesteps"] == 64, "trained without keeping the classifier")


def _other_split(box: Box) -> Any:
    run = glimpse_lab.Run.open("runs/theirs")
    model, _ = run.load("test")
    paths = evaluate_run(run, model, run.evaluation_config("test")).paths
    return export_run("runs/x.csv", run, paths, "validation")


EXPORT = ("runs/theirs", "--quick", "--export")
TRAINED = train("--name=x", *SHORT)

CASES: list[Case] = [
    refused(
        "full disk: a training",
        on_small_disk("", "64k", TRAINED),
        limit=300,
        may_write=("work/runs",),
    ),
    refused(
        "full disk: an evaluation",
        _small_run,
        limit=300,
    ),
    refused("full disk: an export", _small_export, lambda box: box.run(), limit=300),
    refused("full disk: a packed data set", _small_pack),
    works("full disk: numba's cache", _numba_full, limit=300),
    works("full disk: the pretraining's cache", _small_cache, limit=300),
    refused("read-only: runs", as_nobody(TRAINED, "work")),
    refused(
        "read-only: a run that is evaluated",
        as_nobody(evaluate("runs/theirs"), "work/runs/theirs"),
        lambda box: box.run(),
    ),
    refused(
        "read-only: a run that is resumed",
        as_nobody(train("--resume", "runs/theirs", "--total-timesteps=96"), "work/runs/theirs"),
        lambda box: box.run(),
    ),
    refused(
        "read-only: the folder of an export",
        as_nobody(evaluate(*EXPORT, "BOX/outside/x.csv"), "outside"),
        lambda box: box.run(),
    ),
    refused(
        "unreadable: config.yml",
        as_nobody(evaluate("runs/theirs", "--quick")),
        lambda box: (box.run() / "config.yml").chmod(0),
    ),
    refused(
        "unreadable: model.zip",
        as_nobody(evaluate("runs/theirs", "--quick")),
        lambda box: (box.run() / "model.zip").chmod(0),
    ),
    works("read-only: the data directory", as_nobody(_read_only_data, "data"), limit=300),
    works("read-only: numba's cache", as_nobody(_numba_read_only), limit=300),
    works(
        "numba's cache: cut in half",
        kernels(lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])),
        limit=300,
    ),
    works("numba's cache: folders", kernels(lambda file: (file.unlink(), file.mkdir())), limit=300),
    works("pretraining's cache: whole", _as_before, damaged(lambda file: None)),
    works("pretraining's cache: empty", _as_before, damaged(lambda file: file.write_bytes(b""))),
    works(
        "pretraining's cache: cut off",
        _as_before,
        damaged(lambda file: file.write_bytes(file.read_bytes()[:-300])),
    ),
    works("pretraining's cache: one wrong bit", _as_before, damaged(_flip)),
    works("pretraining's cache: NaN", _as_before, damaged(_nan)),
    works(
        "pretraining's cache: a folder",
        _as_before,
        damaged(lambda file: (file.unlink(), file.mkdir())),
    ),
    works(
        "pretraining's cache: a link to /dev/zero",
        _as_before,
        damaged(lambda file: (file.unlink(), symlink(file, "/dev/zero"))),
    ),
    works(
        "pretraining's cache: a pipe",
        _as_before,
        damaged(lambda file: (file.unlink(), os.mkfifo(file))),
    ),
    works(
        "pretraining's cache: the folder is a file",
        lambda box: check(
            PRETRAINED(box) is not None and (box.work / "runs" / ENV / "x/metrics.json").exists(),
            "trained",
        ),
        lambda box: (box.data / "classifiers").write_text("x"),
    ),
    refused(
        "data directory: a file",
        lambda box: glimpse_lab.resolve_config("GlimpseMNIST-MultiCat-v0"),
        lambda box: (shutil.rmtree(box.data), box.data.write_text("x")),
    ),
    refused(
        "classifier: saved below a file",
        lambda box: _classifier(box).save(box.work / "x" / "c.bin"),
        lambda box: box.text("x", "file"),
    ),
    refused("classifier: loaded from a folder", lambda box: TorchClassifier.load(box.work)),
    refused(
        "classifier: loaded from /dev/zero",
        lambda box: TorchClassifier.load(Path("/dev/zero")),
        limit=30,
    ),
    refused("classifier: loaded from nowhere", lambda box: TorchClassifier.load(Path("nowhere"))),
    refused("export: paths of another split", _other_split, lambda box: box.run()),
    refused(
        "check_writable: below a file",
        lambda box: check_writable(Path("x/y")),
        lambda box: box.text("x", "file"),
    ),
    works("a write that is interrupted", _interrupted_write, may_write=("work/kept.txt",)),
]
