"""The glimpse classifier: sees what the agent sees, and says what it believes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn

from glimpse_envs.classifier import Reading, register_classifier
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.files import replacing
from policies.classifier.canvas import CanvasLayout
from policies.classifier.canvas_memory import with_room
from policies.classifier.memory import MEMORIES, make_memory
from policies.extractors.backbones import weights_come_later
from policies.limits import limited_parameters
from policies.ranges import argument_types, checked, checks_arguments
from policies.tensor_files import LARGEST_CHECKPOINT, load_tensors, read_member, read_regular

N_TEMPERATURES = 32
"""Numbers of glimpses that have a temperature of their own; after more the last one holds."""

MEMBER = "classifier.bin"
"""Name of a classifier inside of a model's zip file; SB3 takes every ``.pth`` for its own."""


class ClassifierError(ValueError):
    """A classifier's file is missing, broken or does not fit; the message says what to do."""


@dataclass(frozen=True)
class View:
    """What a classifier is made for: the glimpses that it can read.

    :param n_classes: number of classes
    :param glimpse_shape: (h, w, C)
    :param image_shape: height and width of what is shown, pixels
    :param window: side of the window at zoom 1, image pixels
    :param finest_cell: width of the finest glimpse pixel, image pixels
    :param coarsest_cell: width of the coarsest one (of a retina's first scale)
    :param arrangement: how glimpses are arranged, where not as square grids, see ``Sensor``
    """

    n_classes: int
    glimpse_shape: tuple[int, int, int]
    image_shape: tuple[int, int]
    window: int
    finest_cell: float
    coarsest_cell: float
    arrangement: str | None = None

    @classmethod
    def of(cls, config: GlimpseConfig) -> Self:
        """Return what the glimpses of an environment are like."""
        scheme, geometry = config.scheme, config.geometry
        low, high = scheme.zooms()
        first = scheme.start_zoom(config.start)
        ends = np.array([min(low, first), max(high, first)], np.float32)
        gaze = np.full((2, 3), 0.5, np.float32)
        gaze[:, 2] = ends
        shape = config.sensor.glimpse_shape(config.shape[2])
        sides = geometry.windows(geometry.clamp(gaze))[:, 2] / shape[0]
        return cls(
            n_classes=config.dataset.n_classes,
            glimpse_shape=tuple(shape),
            image_shape=tuple(config.shape[:2]),
            window=geometry.finest,
            finest_cell=float(sides[1]),
            coarsest_cell=float(sides[0]),
            arrangement=config.sensor.arrangement,
        )

    def layout(self) -> CanvasLayout | None:
        """Return the layout of a canvas, None where glimpses are not squares side by side."""
        size, length, channels = self.glimpse_shape
        if length % size or self.arrangement is not None:
            return None
        height, width = self.image_shape
        return CanvasLayout(
            height=height,
            width=width,
            channels=channels,
            size=size,
            scales=length // size,
            window=self.window,
            finest_zoom_cell=self.finest_cell,
            coarsest_zoom_cell=self.coarsest_cell,
        )


class TorchClassifier(nn.Module):
    """Memory of glimpses and a linear readout, behind the simulation's protocol of a classifier.

    The belief is the softmax of the logits divided by a temperature for each number of glimpses,
    fitted on images that it was not trained on (:mod:`policies.classifier.calibration`).

    Reads always in evaluation mode and without gradients; :mod:`policies.classifier.trainer` trains
    it.

    :param view: what it reads
    :param memory: ``"canvas"``, ``"rcn"``, ``"gru"``, ``"lstm"`` or ``"feedforward"``, see
        :mod:`policies.classifier.memory`
    :param seed: of the initial weights
    :param settings: of the memory
    """

    @checks_arguments
    def __init__(
        self, view: View, memory: str = "canvas", *, seed: int = 0, **settings: Any
    ) -> None:
        super().__init__()
        self.view = view
        self.kind, self.seed, self.settings = memory, seed, settings
        # making a classifier changes no other draws
        if memory in MEMORIES:
            settings = checked(settings, argument_types(MEMORIES[memory]), f"classifier {memory}: ")
        try:
            with limited_parameters(f"classifier {memory}"), th.random.fork_rng(devices=[]):
                th.manual_seed(seed)
                self.memory = make_memory(memory, view.glimpse_shape, view.layout(), **settings)
                self.readout = nn.Linear(self.memory.hidden_size, view.n_classes)
        except Exception as error:  # PyTorch's layers fail in many ways
            raise ClassifierError(
                f"classifier {memory!r:.80} cannot be made with seed={seed!r:.80} and settings "
                f"{settings!r:.200}: {error}"
            ) from error
        self.temperatures: th.Tensor
        self.register_buffer("temperatures", th.ones(N_TEMPERATURES))
        self.n_classes = view.n_classes
        self.hidden_size = self.memory.hidden_size
        #: read in bfloat16: faster where the processor does so natively, and a little less exact.
        #: For rollouts; evaluation leaves it off
        self.bfloat16 = False
        self.to(memory_format=th.channels_last)
        self.eval()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # shared by all environments that it is given to

    def __repr__(self) -> str:
        return f"TorchClassifier({self.kind!r}, {self.view}, {self.settings})"

    def start(self, n: int) -> NDArray:
        """Return the state before the first glimpse of n lanes: their number, then the memory's.

        It is an array (n, 1 + size) of the memory's type; bytes count up to 255.
        """
        memory = self.memory.start(n)
        return np.concatenate([np.zeros((n, 1), memory.dtype), memory], axis=1)

    def update(
        self, state: NDArray, glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> Reading:
        """Read one more glimpse of n lanes.

        :param state: (n, ...)
        :param glimpse: uint8 (n, h, w, C)
        :param gaze: float32 (n, 3)
        :return: next state, belief float32 (n, K) and hidden features float32 (n, hidden_size)
        :raises ClassifierError: for glimpses of another shape
        """
        if glimpse.shape[1:] != self.view.glimpse_shape:
            raise ClassifierError(
                f"got glimpses {glimpse.shape[1:]}; this classifier reads {self.view.glimpse_shape}"
            )
        counts = np.minimum(state[:, :1], 254) + 1
        device = self.readout.weight.device.type
        low = self.bfloat16 and self.memory.takes_bfloat16
        with (
            th.inference_mode(),
            th.autocast(device, dtype=th.bfloat16, enabled=low),
        ):
            memory, hidden = self.memory.step(np.ascontiguousarray(state[:, 1:]), glimpse, gaze)
            belief = self.logits(hidden, counts[:, 0].astype(np.int64)).softmax(dim=1)
            if hidden.dim() == 3:
                hidden = hidden[:, 0]
        state = np.concatenate([counts.astype(state.dtype), memory], axis=1)
        return Reading(state, belief.cpu().numpy(), hidden.float().cpu().numpy())

    def logits(self, hidden: th.Tensor, counts: NDArray[np.int64]) -> th.Tensor:
        """Return what the belief is the softmax of, float32 (n, K).

        :param hidden: of the memory, float (n, hidden_size), or (n, views, hidden_size)
        :param counts: after how many glimpses, int64 (n,), from 1
        """
        logits = self.readout(hidden).float()
        if logits.dim() == 3:
            logits = logits.mean(dim=1)
        rows = th.as_tensor(np.minimum(counts, N_TEMPERATURES) - 1, device=hidden.device)
        return logits / self.temperatures[rows][:, None]

    def adapted_to(self, config: GlimpseConfig) -> TorchClassifier:
        """Return what reads an environment's glimpses: this classifier, or one of its weights.

        For images of another size, where the memory does not depend on it, it is another classifier
        with a copy of the weights as they are now, so that the gaze is told in its coordinates; and
        with a ``frame`` for a budget that it has no room for, unless ``keep`` says so.

        :raises ClassifierError: if their glimpses differ, with all that does
        """
        wanted = View.of(config)
        names = ["n_classes", "glimpse_shape", "window", "arrangement"]
        if not self.memory.reads_any_size:
            names.append("image_shape")
        differ = [
            f"{name} {getattr(self.view, name)} (the environment: {getattr(wanted, name)})"
            for name in names
            if getattr(self.view, name) != getattr(wanted, name)
        ]
        if differ:
            size = (
                f" ({self.kind} reads images of the size that it was made for; of any size do gru, "
                "lstm, feedforward, and canvas with a frame)"
                if "image_shape" in names and self.view.image_shape != wanted.image_shape
                else ""
            )
            raise ClassifierError(
                f"the classifier does not fit the environment: it was made for {', '.join(differ)}"
                f"{size}; take the data set, scene and sensor that it was trained with, or train "
                "another"
            )
        settings = with_room(self.settings, config.budget)
        if self.view.image_shape == wanted.image_shape and settings == self.settings:
            return self
        with weights_come_later():
            other = TorchClassifier(
                replace(self.view, image_shape=wanted.image_shape),
                self.kind,
                seed=self.seed,
                **settings,
            )
        other.load_state_dict(self.state_dict())
        other.bfloat16 = self.bfloat16
        return other.to(self.readout.weight.device)

    def digest(self) -> str:
        """Return 16 hexadecimal digits that tell this network with these weights from others."""
        return digest_of(self.specification(), self.state_dict())

    def specification(self) -> dict[str, Any]:
        """Return what makes the same untrained network, in plain types."""
        view = json.loads(json.dumps(asdict(self.view)))
        if view["arrangement"] is None:  # files of before do not have it, and keep their digests
            del view["arrangement"]
        return {
            "view": view,
            "memory": self.kind,
            "seed": self.seed,
            "settings": self.settings,
        }

    def save(self, path: Path, **extras: Any) -> str:
        """Write specification and weights under a temporary name and rename it.

        :param extras: what else to keep, tensors and plain types, such as an optimiser's state
        :return: the digest
        """
        with replacing(path) as temporary:
            temporary.write_bytes(self._to_bytes(extras))
        return self.digest()

    def save_inside(self, archive: Path, **extras: Any) -> None:
        """Add specification and weights to a model's zip file, which has none yet.

        There they have a checksum of every byte.

        :param archive: that SB3 has just written; made if it is missing
        :param extras: as :meth:`save` takes them
        """
        with zipfile.ZipFile(archive, "a") as file:
            file.writestr(MEMBER, self._to_bytes(extras))

    def _to_bytes(self, extras: dict[str, Any]) -> bytes:
        content = {
            "specification": self.specification(),
            "weights": self.state_dict(),
            "digest": self.digest(),
            "extras": extras,
        }
        buffer = io.BytesIO()
        th.save(content, buffer)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` or :meth:`save_inside` wrote.

        Reads tensors and plain types only: no code can hide in it.

        :param path: of the classifier, or of the model's zip file that it is in
        :raises ClassifierError: if the file is missing, broken or was changed
        """
        content = read_file(path)
        made = content["specification"]
        if isinstance(content["weights"], dict) and "temperatures" not in content["weights"]:
            raise ClassifierError(
                f"classifier {path} is of an earlier version, whose networks were others; train "
                "another one"
            )
        try:
            view = made["view"] | {
                key: tuple(made["view"][key]) for key in ("glimpse_shape", "image_shape")
            }
            with weights_come_later():
                classifier = cls(
                    View(**view), made["memory"], seed=made["seed"], **made["settings"]
                )
            classifier.load_state_dict(content["weights"])
        except Exception as error:  # what was changed by hand fails in many ways
            raise ClassifierError(f"classifier {path} is broken: {error}") from error
        if classifier.digest() != content["digest"]:
            raise ClassifierError(f"classifier {path} does not have the weights it was saved with")
        return classifier


def digest_of(specification: dict[str, Any], weights: dict[str, th.Tensor]) -> str:
    """Return 16 hexadecimal digits that tell a network with its weights from others.

    Weights kept in half precision have the digest of the same numbers in single precision.

    :param specification: as :meth:`TorchClassifier.specification` gives it
    :param weights: by name
    """
    sha = hashlib.sha256(json.dumps(specification, sort_keys=True).encode())
    for name, tensor in sorted(weights.items()):
        sha.update(name.encode())
        if tensor.dtype == th.float16:
            tensor = tensor.float()  # exact, and what a network is loaded with
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def read_file(path: Path) -> dict[str, Any]:
    """Return ``specification``, ``weights``, ``digest`` and ``extras``.

    :param path: written by :meth:`TorchClassifier.save` or :meth:`TorchClassifier.save_inside`
    :raises ClassifierError: if the file is missing or broken
    """
    try:
        content = load_tensors(_read(path))
    except FileNotFoundError as error:
        raise ClassifierError(f"there is no classifier {path}") from error
    except ClassifierError:
        raise
    except Exception as error:  # zip, pickle: a broken file fails in many ways
        raise ClassifierError(f"classifier {path} cannot be read: {error}") from error
    wanted = {"specification", "weights", "digest", "extras"}
    whole = isinstance(content, dict) and set(content) == wanted
    if not whole or not isinstance(content["extras"], dict):
        raise ClassifierError(
            f"{path} is no classifier; wanted what TorchClassifier.save wrote, or the model.zip of "
            "a run that has a classifier"
        )
    return content


def _read(path: Path) -> bytes:
    """Return the bytes of a classifier, out of a model's zip file if it is in one."""
    data = read_regular(path, LARGEST_CHECKPOINT)
    file = io.BytesIO(data)
    if not zipfile.is_zipfile(file):
        return data  # for PyTorch to refuse
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if MEMBER in names:
            return read_member(archive, MEMBER)
    if "policy.pth" in names:
        raise ClassifierError(f"model {path} was saved without a classifier; take another file")
    return data  # PyTorch's own files are zip files, too


def _maker(memory: str) -> Callable[..., TorchClassifier]:
    def make(config: GlimpseConfig, **settings: Any) -> TorchClassifier:
        return TorchClassifier(View.of(config), memory, **with_room(settings, config.budget))

    return make


def _from_file(config: GlimpseConfig, path: str) -> TorchClassifier:
    return TorchClassifier.load(Path(path))


for _memory in MEMORIES:
    register_classifier(_memory, _maker(_memory))
register_classifier("file", _from_file)
