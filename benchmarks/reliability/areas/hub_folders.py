"""Folders as they come from the hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from cases import Box, Case, check, either, refused, symlink, works
from runner import command

import glimpse_lab
from areas.files import ENV
from glimpse_lab.integrations import hub


def packaged(change: Callable[[Path, Box], Any]) -> Callable[[Box], None]:
    """Return what makes a folder as it lies in a repository, changed."""

    def make(box: Box) -> None:
        run, folder = box.assets / "run", box.work / "repository"
        folder.mkdir()
        shutil.copy(run / "config.yml", folder)
        shutil.copy(run / "model.zip", folder / f"ppo-{ENV}.zip")
        (box.outside / "secret").write_text("secret")
        change(folder, box)

    return make


def _pull(box: Box) -> Any:
    return hub.pull("repository", box.work / "runs" / "pulled" / "x")


def _pull_command(*words: str) -> Callable[[Box], Any]:
    def do(box: Box) -> Any:
        return command(
            lambda: hub.main([w.replace("BOX", str(box.root)) for w in words]), box, "hub"
        )

    return do


def _pulled(box: Box) -> str:
    run = _pull(box)
    return check(
        glimpse_lab.evaluate(run.path).n_images == 359
        and not (box.work / "runs/pulled/x/evil").exists(),
        "359 images",
    )


def _repository_config(text: str | bytes) -> Callable[[Path, Box], Any]:
    data = text.encode() if isinstance(text, str) else text
    return lambda folder, box: (folder / "config.yml").write_bytes(data)


def _replaced(name: str, target: str) -> Callable[[Path, Box], None]:
    def change(folder: Path, box: Box) -> None:
        (folder / name).unlink(missing_ok=True)
        symlink(folder / name, target.replace("BOX", str(box.root)))

    return change


def _edited(**changes: Any) -> Callable[[Path, Box], None]:
    def change(folder: Path, box: Box) -> None:
        content = yaml.safe_load((folder / "config.yml").read_text())
        (folder / "config.yml").write_text(yaml.safe_dump({**content, **changes}))

    return change


def _hard_link(folder: Path, box: Box) -> None:
    os.link(box.outside / "secret", folder / "README.md")


CASES: list[Case] = [
    refused("hub: an empty folder", _pull, lambda box: (box.work / "repository").mkdir()),
    refused(
        "hub: no such repository",
        lambda box: hub.pull("no body/no thing", box.work / "runs/x/x"),
        limit=60,
    ),
    refused("hub: config.yml broken", _pull, packaged(_repository_config("format: [2\n"))),
    refused("hub: config.yml a scalar", _pull, packaged(_repository_config("5"))),
    refused("hub: config.yml Latin-1", _pull, packaged(_repository_config(b"a: caf\xe9"))),
    refused(
        "hub: config.yml with a Python tag",
        _pull,
        packaged(_repository_config("format: !!python/name:os.system\n")),
    ),
    refused(
        "hub: config.yml with control characters",
        _pull,
        packaged(_repository_config(b"a: \x01\x02\n")),
    ),
    refused(
        "hub: config.yml of a link", _pull, packaged(_replaced("config.yml", "BOX/outside/secret"))
    ),
    refused(
        "hub: a model of a link", _pull, packaged(_replaced(f"ppo-{ENV}.zip", "BOX/outside/secret"))
    ),
    refused("hub: a README of a link", _pull, packaged(_replaced("README.md", "/etc/passwd"))),
    refused("hub: a README of a hard link", _pull, packaged(_hard_link)),
    refused(
        "hub: a README of /dev/zero", _pull, packaged(_replaced("README.md", "/dev/zero")), limit=30
    ),
    refused(
        "hub: a pipe",
        _pull,
        packaged(lambda folder, box: os.mkfifo(folder / "results.json")),
        limit=30,
    ),
    refused("hub: an id with folders", _pull, packaged(_edited(env_id="../../outside/x"))),
    refused(
        "hub: a model that is a text",
        _pull,
        packaged(lambda folder, box: (folder / f"ppo-{ENV}.zip").write_text("x")),
    ),
    refused("hub: packages that are numbers", _pull, packaged(_edited(packages=[5]))),
    refused(
        "hub: into a folder with files",
        lambda box: hub.pull("repository", box.outside),
        packaged(lambda folder, box: None),
    ),
    refused(
        "hub: into a file",
        lambda box: hub.pull("repository", box.outside / "secret"),
        packaged(lambda folder, box: None),
    ),
    refused(
        "hub: below a file",
        lambda box: hub.pull("repository", box.outside / "secret" / "x"),
        packaged(lambda folder, box: None),
    ),
    refused("hub: pull without a folder", _pull_command("pull", "repository")),
    refused("hub: push of what is no run", _pull_command("push", "BOX/home", "--repo", "a/b")),
    refused(
        "hub: push of a run that is not evaluated",
        _pull_command("push", "runs/theirs", "--repo", "a/b"),
        lambda box: (box.run() / "metrics.json").unlink(),
    ),
    works("hub: a whole folder", _pulled, packaged(lambda folder, box: (folder / "evil").mkdir())),
    either("hub: huge numbers in config.yml", _pulled, packaged(_edited(versions={"x": 10**4000}))),
]
