"""One file for one checkpoint: ``model.zip`` as SB3 writes it, with the classifier inside.

Stock ``RecurrentPPO.load`` and ``PPO.load`` read it. Here tensors and numbers are read only, into a
model that is made already: loading cannot run code that somebody put into the file.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.files import replacing
from glimpse_lab.config import RunError
from policies.classifier.model import MEMBER, ClassifierError, TorchClassifier, read_file
from policies.optimizers import check_optimizer_state
from policies.ranges import in_range
from policies.tensor_files import (
    LARGEST_CHECKPOINT,
    check_archive,
    load_tensors,
    read_regular,
)

T = TypeVar("T")


def classifier_of(model: BaseAlgorithm) -> Any:
    """Return the classifier of a model's environments; None if there is none."""
    return getattr(model.env.get_attr("config", [0])[0], "classifier", None)


def save_checkpoint(file: Path, model: BaseAlgorithm, extras: dict[str, Any] | None = None) -> None:
    """Write a model with its classifier under a temporary name and rename it.

    A classifier of the user's own class is not written: it is made from its arguments.

    :param file: usually ``model.zip``
    :param extras: what to keep beside the classifier's weights, tensors and plain types
    :raises OSError: if it cannot be written, as on a full disk; an older one stays as it is
    """
    classifier = classifier_of(model)
    with replacing(file) as temporary:
        model.save(temporary)
        if isinstance(classifier, TorchClassifier):
            classifier.save_inside(temporary, **(extras or {}))


def save_to_play(file: Path, model: BaseAlgorithm, extras: dict[str, Any] | None = None) -> None:
    """Write what an agent plays with, in a fourth of the size or less.

    Weights are in half precision, and no optimiser's state is kept. The model's own weights are
    rounded, too: it plays afterwards as what was written does.

    :param file: as :func:`save_checkpoint` takes it, and read alike
    :param extras: what to keep beside the classifier's weights, tensors and plain types
    :raises RunError: for weights that half precision cannot hold
    :raises OSError: if it cannot be written
    """
    classifier = classifier_of(model)
    modules = {"policy": model.policy}
    if isinstance(classifier, TorchClassifier):
        modules["classifier"] = classifier
    model.policy.optimizer.state.clear()
    try:
        for name, module in modules.items():
            _check_range(name, module.half().state_dict())
        save_checkpoint(file, model, extras)
    finally:
        for module in modules.values():
            module.float()


def _check_range(module: str, weights: dict[str, th.Tensor]) -> None:
    for name, weight in weights.items():
        if not th.isfinite(weight).all():
            raise RunError(
                f"weight {name} of the {module} is beyond {th.finfo(th.float16).max:,.0f}, or no "
                "number: half precision cannot hold it"
            )


def load_checkpoint(file: Path, model: BaseAlgorithm) -> None:
    """Put parameters, optimiser state, timesteps and classifier of a checkpoint into a model.

    All are of one checkpoint, also while another process writes the next one.

    :param file: that :func:`save_checkpoint` wrote
    :param model: made with the same settings
    :raises RunError: if the file is missing or broken, or fits another model
    """

    def tensors(data: bytes) -> Any:
        return load_tensors(data, model.device)

    names = ("policy", "policy.optimizer")
    classifier = classifier_of(model)
    with _open(file) as archive:
        weights = {name: _read(archive, f"{name}.pth", tensors) for name in names}
        timesteps = _read(archive, "data", _timesteps)
        if isinstance(classifier, TorchClassifier):
            content = _read(archive, MEMBER, tensors)
    try:
        _check_weights(model.policy.state_dict(), weights["policy"])
        check_optimizer_state(model.policy.optimizer, weights["policy.optimizer"])
        model.set_parameters(weights, exact_match=True, device=model.device)
        if isinstance(classifier, TorchClassifier):
            classifier.load_state_dict(content["weights"])
    except Exception as error:  # what was changed by hand fails in many ways
        raise RunError(
            f"{file} does not fit the model that {file.parent / 'config.yml'} describes: {error}"
        ) from error
    model.num_timesteps = timesteps


def _check_weights(ours: dict[str, th.Tensor], theirs: dict[str, Any]) -> None:
    """Raise a ValueError for weights of another kind, or that are no finite numbers.

    Half precision is widened where single is wanted. Names and shapes are left to PyTorch, which
    would take the others in silence.
    """
    for name, weight in theirs.items():
        if not isinstance(weight, th.Tensor):
            raise ValueError(f"weight {name} is no tensor")
        wanted = ours[name].dtype if name in ours else weight.dtype
        widened = (weight.dtype, wanted) == (th.float16, th.float32)
        if weight.dtype != wanted and not widened:
            raise ValueError(f"weight {name} is {weight.dtype}; wanted {wanted}")
        if not th.isfinite(weight).all():
            raise ValueError(
                f"weight {name} is not finite: the training has diverged, or it was changed"
            )


def saved_timesteps(file: Path) -> int:
    """Return how many timesteps a saved model has trained for.

    :raises RunError: if the file is missing or broken
    """
    with _open(file) as archive:
        return _read(archive, "data", _timesteps)


def saved_classifier(file: Path) -> TorchClassifier | None:
    """Return the classifier of a checkpoint; None if it was saved without one.

    :raises RunError: if the file is missing or broken
    """
    if not _has_classifier(file):
        return None
    try:
        return TorchClassifier.load(file)
    except ClassifierError as error:
        raise RunError(f"{file} is broken ({error}); train anew") from error


def saved_extras(file: Path) -> dict[str, Any]:
    """Return what was saved beside the classifier's weights; nothing without a classifier.

    :raises RunError: if the file is missing or broken
    """
    return read_file(file)["extras"] if _has_classifier(file) else {}


def _has_classifier(file: Path) -> bool:
    with _open(file) as archive:
        return MEMBER in archive.namelist()


def _timesteps(data: bytes) -> int:
    timesteps = int(json.loads(data)["num_timesteps"])
    if timesteps:
        in_range("n_timesteps", timesteps)
    return timesteps


def _open(file: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(io.BytesIO(read_regular(file, LARGEST_CHECKPOINT)))
        check_archive(archive)
        archive.filename = str(file)
        return archive
    except FileNotFoundError as error:
        raise RunError(
            f"{file.parent} has no {file.name}: training was stopped before its first checkpoint; "
            "start it anew"
        ) from error
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise RunError(f"{file} is broken ({error}); train anew") from error


def _read(archive: zipfile.ZipFile, member: str, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(archive.read(member))
    except Exception as error:  # zip, zlib, JSON, pickle: a broken file fails in many ways
        raise RunError(f"{archive.filename} is broken ({member}: {error}); train anew") from error
