"""The ``model.zip`` of somebody else: weights and members made to harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import torch as th
from cases import Box, Case, refused, works

from areas.arrays import Trap
from areas.strangers import EVAL, RESUME, resumed, written
from policies.classifier.model import MEMBER

OPTIMIZER = "policy.optimizer.pth"


def rewritten(
    change: Callable[[dict[str, bytes]], Any], how: int = zipfile.ZIP_STORED, run: str = "run"
) -> Callable[[Box], None]:
    """Return what changes the members of ``model.zip``."""

    def make(box: Box) -> None:
        file = box.run(run) / "model.zip"
        with zipfile.ZipFile(file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(file, "w", how) as archive:
            for name, data in members.items():
                archive.writestr(name, data)

    return make


def tensors(member: str, change: Callable[[Any], Any], run: str = "run") -> Callable[[Box], None]:
    """Return what changes the tensors of a member."""

    def edit(members: dict[str, bytes]) -> None:
        content = th.load(io.BytesIO(members[member]), weights_only=True)
        content = change(content) or content
        buffer = io.BytesIO()
        th.save(content, buffer)
        members[member] = buffer.getvalue()

    return rewritten(edit, run=run)


def data(**changes: Any) -> Callable[[Box], None]:
    """Return what changes SB3's ``data`` of the model."""

    def edit(members: dict[str, bytes]) -> None:
        members["data"] = json.dumps({**json.loads(members["data"]), **changes}).encode()

    return rewritten(edit)


def _first(weights: dict[str, Any]) -> str:
    return next(name for name, w in weights.items() if w.is_floating_point() and w.ndim > 1)


def _put(value: Callable[[th.Tensor], Any]) -> Callable[[dict[str, Any]], None]:
    def change(weights: dict[str, Any]) -> None:
        weights[_first(weights)] = value(weights[_first(weights)])

    return change


def _in_classifier(value: Callable[[th.Tensor], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda content: _put(value)(content["weights"])


def _nan(weight: th.Tensor) -> th.Tensor:
    return th.full_like(weight, float("nan"))


def _huge_tensor(weight: th.Tensor) -> th.Tensor:
    """Return a tensor of a terabyte that takes one number in the file."""
    return th.zeros(1).expand(500_000, 500_000)


def _trap(member: str) -> Callable[[Box], None]:
    def make(box: Box) -> None:
        def edit(members: dict[str, bytes]) -> None:
            members[member] = pickle.dumps(Trap(box.outside / "x"))

        rewritten(edit)(box)

    return make


def _torch_trap(member: str) -> Callable[[Box], None]:
    def make(box: Box) -> None:
        def edit(members: dict[str, bytes]) -> None:
            buffer = io.BytesIO()
            th.save({"x": Trap(box.outside / "x")}, buffer)
            members[member] = buffer.getvalue()

        rewritten(edit)(box)

    return make


def _cut(n: int) -> Callable[[Box], None]:
    def make(box: Box) -> None:
        file = box.run() / "model.zip"
        file.write_bytes(file.read_bytes()[:n])

    return make


def _add(name: str) -> Callable[[Box], None]:
    def make(box: Box) -> None:
        with zipfile.ZipFile(box.run() / "model.zip", "a") as archive:
            archive.writestr(name.replace("BOX", str(box.root)), b"x")

    return make


CASES: list[Case] = [
    refused("model.zip: missing", EVAL, lambda box: (box.run() / "model.zip").unlink()),
    refused("model.zip: empty", EVAL, written("model.zip", b"")),
    refused("model.zip: 100 bytes of it", EVAL, _cut(100)),
    refused("model.zip: without its end", EVAL, _cut(-100)),
    refused("model.zip: a text", EVAL, written("model.zip", "hello")),
    refused(
        "model.zip: a pickle",
        EVAL,
        lambda box: written("model.zip", pickle.dumps(Trap(box.outside / "x")))(box),
    ),
    refused(
        "model.zip: a folder",
        EVAL,
        lambda box: ((box.run() / "model.zip").unlink(), (box.run() / "model.zip").mkdir()),
    ),
    refused(
        "model.zip: a pipe",
        EVAL,
        lambda box: ((box.run() / "model.zip").unlink(), os.mkfifo(box.run() / "model.zip")),
        limit=30,
    ),
    refused(
        "model.zip: of another run",
        EVAL,
        lambda box: written("model.zip", (box.assets / "lstm" / "model.zip").read_bytes())(box),
    ),
    refused(
        "model.zip: no policy in it", EVAL, rewritten(lambda members: members.pop("policy.pth"))
    ),
    refused("model.zip: no classifier in it", EVAL, rewritten(lambda members: members.pop(MEMBER))),
    refused("model.zip: no data in it", EVAL, rewritten(lambda members: members.pop("data"))),
    refused("model.zip: compressed", EVAL, rewritten(lambda members: None, zipfile.ZIP_DEFLATED)),
    refused("model.zip: a member above the folder", EVAL, _add("../../../outside/x")),
    refused("model.zip: an absolute member", EVAL, _add("BOX/outside/x")),
    refused("model.zip: a member twice", EVAL, _add("policy.pth")),
    refused("model.zip: a pickle as policy", EVAL, _trap("policy.pth")),
    refused("model.zip: a pickle as classifier", EVAL, _trap(MEMBER)),
    refused("model.zip: code in the policy's tensors", EVAL, _torch_trap("policy.pth")),
    refused("model.zip: code in the classifier's tensors", EVAL, _torch_trap(MEMBER)),
    refused("model.zip: code in the optimiser", RESUME, _torch_trap(OPTIMIZER)),
    refused("model.zip: NaN weights", EVAL, tensors("policy.pth", _put(_nan))),
    refused("model.zip: infinite weights", EVAL, tensors("policy.pth", _put(lambda w: w / 0.0))),
    refused("model.zip: NaN weights, resumed", RESUME, tensors("policy.pth", _put(_nan))),
    refused(
        "model.zip: a weight of another shape", EVAL, tensors("policy.pth", _put(lambda w: w[:-1]))
    ),
    refused("model.zip: a weight that is a text", EVAL, tensors("policy.pth", _put(lambda w: "x"))),
    refused(
        "model.zip: complex weights",
        EVAL,
        tensors("policy.pth", _put(lambda w: w.to(th.complex64))),
    ),
    refused("model.zip: a weight of a terabyte", EVAL, tensors("policy.pth", _put(_huge_tensor))),
    refused(
        "model.zip: a weight too few", EVAL, tensors("policy.pth", lambda w: w.popitem() and None)
    ),
    refused("model.zip: weights a list", EVAL, tensors("policy.pth", lambda w: [1, 2])),
    refused("model.zip: a classifier of NaN", EVAL, tensors(MEMBER, _in_classifier(_nan))),
    refused(
        "model.zip: a classifier changed", EVAL, tensors(MEMBER, _in_classifier(lambda w: w + 1))
    ),
    refused(
        "model.zip: a classifier of a terabyte", EVAL, tensors(MEMBER, _in_classifier(_huge_tensor))
    ),
    refused(
        "model.zip: a classifier of another kind",
        EVAL,
        tensors(MEMBER, lambda c: c["specification"].update(memory="os.system")),
    ),
    refused(
        "model.zip: a classifier 10^9 wide",
        EVAL,
        tensors(MEMBER, lambda c: c["specification"]["settings"].update(width=10**9)),
    ),
    refused(
        "model.zip: a classifier of other classes",
        EVAL,
        tensors(MEMBER, lambda c: c["specification"]["view"].update(n_classes=3)),
    ),
    refused(
        "model.zip: optimiser NaN, resumed",
        RESUME,
        tensors(
            OPTIMIZER,
            lambda o: (
                [s.update(exp_avg=s["exp_avg"] * float("nan")) for s in o["state"].values()]
                and None
            ),
        ),
    ),
    refused(
        "model.zip: optimiser of other shapes, resumed",
        RESUME,
        tensors(
            OPTIMIZER,
            lambda o: [s.update(exp_avg=th.zeros(2)) for s in o["state"].values()] and None,
        ),
    ),
    works(
        "model.zip: learning rate a text, resumed",
        resumed,
        tensors(OPTIMIZER, lambda o: o["param_groups"][0].update(lr="fast")),
    ),
    works(
        "model.zip: learning rate NaN, resumed",
        resumed,
        tensors(OPTIMIZER, lambda o: o["param_groups"][0].update(lr=float("nan"))),
    ),
    refused(
        "model.zip: pretraining a text, resumed",
        RESUME,
        tensors(
            MEMBER,
            lambda c: (
                c["extras"].update(done="x", pretraining="x", n_done="x", episodes="x")
                or c["extras"].update(dict.fromkeys(c["extras"], "x"))
            ),
        ),
    ),
    refused("model.zip: -5 timesteps", EVAL, data(num_timesteps=-5)),
    refused("model.zip: timesteps NaN", EVAL, data(num_timesteps=float("nan"))),
    refused("model.zip: 10^30 timesteps, resumed", RESUME, data(num_timesteps=10**30)),
    refused("model.zip: timesteps a list", EVAL, data(num_timesteps=[1])),
]
