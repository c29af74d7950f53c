"""Trained agents on the Hugging Face hub, in the layout of huggingface_sb3.

  python -m glimpse_lab.integrations.hub push RUN_DIR --repo USER/NAME
  python -m glimpse_lab.integrations.hub pull USER/NAME DIR && python eval.py DIR

A repository holds the model as ``<algorithm>-<env id>.zip``, ``config.yml``, ``results.json``,
``replay.mp4`` and a model card. Reading one runs no code that somebody put into it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from glimpse_lab.checkpoint import saved_timesteps
from glimpse_lab.cli.ending import Parser, carry_out
from glimpse_lab.config import portable
from glimpse_lab.evaluation.exact import read_evaluation
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.storage import to_json
from glimpse_lab.recipes import ALGORITHMS, trust
from glimpse_lab.report.verdict import verdict
from glimpse_lab.runs import Run, RunError
from glimpse_lab.yaml_files import YamlError, read_yaml
from policies.tensor_files import LARGEST_CHECKPOINT

#: what belongs to an agent in a repository; anything else there is left alone
_FILES = ("*.zip", "config.yml", "results.json", "replay.mp4", "README.md")
_TEMPLATE = Path(__file__).with_name("model_card.md")


@dataclass(frozen=True)
class Package(Run):
    """A run as it lies in a repository, to be evaluated where it is."""

    @classmethod
    def _check_links(cls, path: Path) -> None:
        """Take links: the hub's cache is made of them, and nothing is written there."""

    @property
    def model_file(self) -> Path:
        """The model, under the name that huggingface_sb3 gives it."""
        return self.path / f"{model_name(self)}.zip"


def model_name(run: Run) -> str:
    """Return huggingface_sb3's name of an agent, such as "ppo_lstm-GlimpseCIFAR-MultiCat-v0".

    :raises RunError: for an id that is no file's name
    """
    name = f"{run.config.algorithm}-{run.config.env_id}"
    if Path(name).name != name or "\\" in name:
        raise RunError(f"got env_id {run.config.env_id!r:.80}; wanted one without folders in it")
    return name


def package(run_dir: Path, out_dir: Path, packages: Sequence[str] = ()) -> Package:
    """Write what ``push`` uploads; paths of this computer are left out of it.

    :param run_dir: made by train.py, evaluated on the test split and filmed
    :param out_dir: missing or empty
    :param packages: of the user's own that the run names, imported already
    :raises RunError: for a run that is incomplete or trained on since its evaluation, or a folder
        that is not empty
    :raises ImportError: without huggingface_hub
    """
    run = Run.open(run_dir, packages)
    result = _result(run)
    video = run_dir / "video.mp4"
    if not video.exists():
        raise RunError(f"{run_dir} has no video.mp4; python eval.py {run_dir} --video 9 makes it")
    card = _card(run, result)
    _check_free(out_dir)
    out_dir.mkdir(exist_ok=True)
    made = Package(out_dir, replace(run.config, env_kwargs=portable(run.config.env_kwargs)))
    shutil.copyfile(run.model_file, made.model_file)
    made.write_config()
    made.write_json("results.json", _results(run, result))
    shutil.copyfile(video, out_dir / "replay.mp4")
    (out_dir / "README.md").write_text(card)
    return made


def load(
    source: str | Path, *, packages: Sequence[str] = (), revision: str | None = None
) -> Package:
    """Return the run in a folder that ``package`` wrote, or in a repository of the hub.

    Reads tensors and plain types only.

    :param source: a folder, or "USER/NAME" of a repository, which is downloaded once
    :param packages: of the user's own that the run names, imported already
    :param revision: branch, tag or commit of the repository
    :raises RunError: for what is neither, or is incomplete
    :raises ImportError: without huggingface_hub, for a repository
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _download(str(source), revision)
    run = Package.open(folder, packages)
    if not run.model_file.exists():
        raise RunError(
            f"{source} has no {run.model_file.name}; wanted what "
            "glimpse_lab.integrations.hub pushed"
        )
    return run


def push(
    run_dir: Path,
    repo: str,
    *,
    private: bool = False,
    message: str | None = None,
    packages: Sequence[str] = (),
) -> str:
    """Upload a run to a repository, which is made if it is missing; return its address.

    :param repo: "USER/NAME"; the login is that of huggingface_hub (``hf auth login``)
    :param message: of the commit
    """
    hub = _hub()
    with tempfile.TemporaryDirectory() as folder:
        made = package(run_dir, Path(folder) / "package", packages)
        api = hub.HfApi()
        address = api.create_repo(repo_id=repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=made.path,
            commit_message=message or f"Add {model_name(made)}",
        )
    return str(address)


def pull(source: str, out_dir: Path, *, revision: str | None = None) -> Run:
    """Write a repository (or a folder like it) as a run directory, for eval.py and train.py.

    Only plain files are copied: what a link points to stays where it is.

    :param out_dir: missing or empty
    :raises RunError: for what is neither, or is incomplete; the folder is as before then
    """
    local = Path(source).is_dir()
    folder = Path(source) if local else _download(source, revision)
    _check_free(out_dir)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=".pull-") as temporary:
        copied = Path(temporary)
        for file in sorted(folder.iterdir()):
            if any(fnmatch(file.name, pattern) for pattern in _FILES):
                # the hub's own cache holds links to its files beside it
                _copy(file if local else _downloaded(file, folder), copied / file.name)
        try:
            packaged = load(copied, packages=_named(copied))  # nothing is imported here
            saved_timesteps(packaged.model_file)  # that it is a model at all
        except RunError as error:
            raise RunError(str(error).replace(str(copied), str(folder))) from error
        out_dir.mkdir(exist_ok=True)
        for name, file in (
            ("model.zip", packaged.model_file),
            ("video.mp4", copied / "replay.mp4"),
            *((name, copied / name) for name in ("config.yml", "results.json")),
        ):
            if file.exists():
                file.rename(out_dir / name)
    return Run(out_dir, packaged.config)


def _named(folder: Path) -> list[str]:
    """Return the packages that a run says it needs."""
    try:
        content = read_yaml(folder / "config.yml")
    except (OSError, YamlError):
        return []  # to be told by whoever opens it
    named = content.get("packages") if isinstance(content, dict) else None
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _downloaded(file: Path, folder: Path) -> Path:
    """Return where a file of the hub's cache lies: beside the folder, nowhere else.

    :raises RunError: for a link to another place
    """
    place = file.resolve()
    roots = (folder.resolve(), folder.resolve().parent.parent / "blobs")
    if not any(place.is_relative_to(root) for root in roots):
        raise RunError(f"{file} is a link out of the downloaded repository; it is not copied")
    return place


def _copy(source: Path, target: Path) -> None:
    """Copy a plain file, following no link.

    :raises RunError: for a link, of either kind, a device, a pipe, or a file that is too large
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(source, flags)
    except OSError as error:
        raise RunError(f"{source} is not copied: a link, or not readable ({error})") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise RunError(f"{source} is no plain file of its own; it is not copied")
        if status.st_size > LARGEST_CHECKPOINT:
            raise RunError(f"{source} has {status.st_size:,} bytes; it is not copied")
        with open(descriptor, "rb", closefd=False) as reading, target.open("xb") as writing:
            shutil.copyfileobj(reading, writing)
    finally:
        os.close(descriptor)


def _result(run: Run) -> Evaluation:
    """Return the run's evaluation on the test split, without paths of this computer."""
    result = read_evaluation(run)
    return replace(result, env_kwargs=portable(result.env_kwargs))


def _results(run: Run, result: Evaluation) -> dict[str, Any]:
    """Return what was measured, with the keys of huggingface_sb3's results.json beside ours."""
    when = datetime.fromtimestamp((run.path / "metrics.json").stat().st_mtime, UTC)
    return {
        **to_json(result),
        "is_deterministic": True,
        "n_eval_episodes": result.n_images,
        "eval_datetime": when.isoformat(timespec="seconds"),
    }


def _card(run: Run, result: Evaluation) -> str:
    """Return the model card: metadata that the hub reads, and what was measured."""
    hub = _hub()
    env, cls = run.config.env_id, ALGORITHMS[run.config.algorithm].__name__
    metadata = hub.ModelCardData(
        model_name=cls,
        library_name="stable-baselines3",
        tags=[env, "deep-reinforcement-learning", "reinforcement-learning", "stable-baselines3"]
        + ["glimpse-envs", "active-vision"],
        eval_results=[
            hub.EvalResult(
                task_type="reinforcement-learning",
                dataset_type=env,
                dataset_name=env,
                dataset_split=result.split,
                metric_type=name,
                metric_name=name,
                metric_value=getattr(result, name),
            )
            for name in ("mean_reward", "accuracy", "mean_glimpses")
        ],
    )
    settings = {"env_kwargs": result.env_kwargs, **run.config.recipe}
    installed = [
        f"{name} {version}"
        for name, version in result.versions.items()
        if version != "not installed"
    ]
    card = hub.ModelCard.from_template(
        metadata,
        template_path=str(_TEMPLATE),
        algorithm=cls,
        env=env,
        seed=run.config.seed,
        result=result,
        verdict=verdict(result),
        recipe=yaml.safe_dump(settings, sort_keys=False).strip(),
        software=", ".join(installed),
    )
    return str(card) + "\n"


def _check_free(folder: Path) -> None:
    """Raise a RunError unless a folder is missing or empty, and can be made."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} exists already and is not empty; choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be made ({error.strerror or error}); choose another folder"
        ) from error


def _download(repo: str, revision: str | None) -> Path:
    hub = _hub()
    try:
        folder = hub.snapshot_download(repo, revision=revision, allow_patterns=list(_FILES))
    except Exception as error:  # network, rights, names: huggingface_hub fails in many ways
        raise RunError(
            f"got {repo!r}, which is no folder here, and no repository that can be had: {error}"
        ) from error
    return Path(folder)


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError('huggingface_hub is not installed; pip install -e ".[hub]"') from error
    return huggingface_hub


def main(argv: list[str] | None = None) -> None:
    """Run ``push`` or ``pull``."""
    parser = Parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pushing = commands.add_parser("push", help="upload a run", description="Upload a run.")
    pushing.add_argument("run", type=Path, metavar="RUN_DIR", help="made by train.py")
    pushing.add_argument("--repo", required=True, metavar="USER/NAME", help="made if missing")
    pushing.add_argument("--private", action="store_true", help="a new repository is private")
    pushing.add_argument("--message", help="of the commit")
    pushing.add_argument(
        "--packages", nargs="+", default=[], metavar="NAME", help="of your own that the run names"
    )
    pulling = commands.add_parser(
        "pull", help="download a run directory", description="Download a run directory."
    )
    pulling.add_argument("repo", metavar="USER/NAME")
    pulling.add_argument("dir", type=Path, metavar="DIR", help="missing or empty")
    pulling.add_argument("--revision", help="branch, tag or commit")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure, too")
    args = parser.parse_args(argv)
    carry_out(lambda: _run(args), debug=args.debug, interrupted="stopped")


def _run(args: argparse.Namespace) -> None:
    if args.command == "push":
        trust(args.packages)
        address = push(
            args.run,
            args.repo,
            private=args.private,
            message=args.message,
            packages=args.packages,
        )
        print(f"uploaded to {address}")
    else:
        run = pull(args.repo, args.dir, revision=args.revision)
        named = "".join(f" {name}" for name in run.config.packages)
        packages = f" --packages{named}" if named else ""
        print(f"{model_name(run)} is in {run.path}\nnext:  python eval.py {run.path}{packages}")


if __name__ == "__main__":
    main()
