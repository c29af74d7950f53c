"""Networks of torchvision and timm, by name, as encoders of larger glimpses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import torch as th
import torch.nn.functional as F
from torch import nn

LIBRARIES = ("torchvision", "timm")

PRETRAINED = "pretrained"
"""Behind a name's ``@``: the library's own default weights."""

_LATER = ContextVar("weights_come_later", default=False)


@contextmanager
def weights_come_later(later: bool = True) -> Iterator[None]:
    """Make networks whose weights are loaded next: those that they were begun with are not read.

    :param later: False does nothing
    """
    token = _LATER.set(later or _LATER.get())
    try:
        yield
    finally:
        _LATER.reset(token)


class Backbone(nn.Module):
    """A network of a library, with a linear layer of ``output_dim`` as its last.

    Untrained ones by name alone. ``NAME@pretrained`` begins with the weights that the library has
    for it, which are downloaded once; ``torchvision:resnet18@IMAGENET1K_V1`` with certain ones of
    torchvision's, ``NAME@FILE.pth`` with those of a file of ``torch.save(net.state_dict(), FILE)``
    (tensors alone are read). The last layer always begins anew, and glimpses are normalised as for
    the pretraining.

    An update must compute what the rollout did, or PPO's ratio is not 1 where nothing has changed:
    nothing is dropped, and batch norms become group norms, or, of a pretrained network, keep the
    statistics of the pretraining, while their scales and shifts learn with the rest.

    :param name: ``"torchvision:resnet18"``, ``"timm:vit_tiny_patch16_224"`` and so on
    :param channels: channels of a glimpse; torchvision's networks see grey ones as RGB
    :param height: its height
    :param width: its width
    :param output_dim: size of the code
    :param frozen: train the last layer alone
    :param black: value of a black pixel, 0 or -1; white ones are 1
    :raises ValueError: for a name that is not known, glimpses that the network does not take, or
        weights that are not there or do not fit
    :raises ImportError: for one of timm where that is not installed
    """

    def __init__(
        self,
        name: str,
        channels: int,
        height: int,
        width: int,
        output_dim: int,
        frozen: bool = False,
        black: float = 0.0,
    ) -> None:
        super().__init__()
        name, at, weights = name.partition("@")
        if at and not weights:
            raise ValueError(
                f"got {name}@ without weights; wanted {name}@{PRETRAINED}, {name}@FILE.pth, or "
                f"{name}, untrained"
            )
        library, _, model = name.partition(":")
        if frozen and not weights:
            raise ValueError(
                f"got the untrained network {name!r}, frozen; wanted weights: {name}@{PRETRAINED}, "
                "or a file of them, or let it learn"
            )
        self.repeats = 1
        side = min(height, width)
        if library == "torchvision":
            if channels not in (1, 3):
                raise ValueError(f"got glimpses of {channels} channels; {name} takes 1 or 3")
            self.repeats = 3 // channels
            self.net, mean, std = _from_torchvision(model, side, output_dim, weights)
        else:
            self.net, mean, std = _from_timm(model, channels, (height, width), output_dim, weights)
        self.normalises, self.black = bool(weights), black
        self.register_buffer("mean", th.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", th.tensor(std).reshape(1, -1, 1, 1), persistent=False)
        _make_stateless(self.net, keeps_statistics=bool(weights))
        if frozen:
            last = _last_linear(self.net, name)[2]
            for parameter in self.net.parameters():
                parameter.requires_grad_(False)
            for parameter in last.parameters():
                parameter.requires_grad_(True)
        try:
            with th.no_grad():
                output = self(th.zeros(1, channels, height, width))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(
                f"{name} does not take glimpses of {height} x {width} ({error}); make larger ones "
                "(sensor={'type': 'Crop', 'size': ...}), or choose another encoder"
            ) from error
        if not isinstance(output, th.Tensor):
            raise ValueError(f"{name} gives more than one output; choose another encoder")

    def forward(self, glimpse: th.Tensor) -> th.Tensor:
        """Return float32 (B, output_dim).

        :param glimpse: float32 (B, C, H, W) from black to 1
        """
        glimpse = glimpse.repeat(1, self.repeats, 1, 1)
        if self.normalises:
            glimpse = ((glimpse - self.black) / (1.0 - self.black) - self.mean) / self.std
        return self.net(glimpse)


_Made = tuple[nn.Module, tuple[float, ...], tuple[float, ...]]
"""A network, and mean and deviation of the pixels that it was pretrained on."""

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _from_torchvision(model: str, side: int, output_dim: int, weights: str) -> _Made:
    from torchvision import models  # takes a second, and few need it

    if model not in models.list_models(module=models):  # those of other tasks download weights
        raise ValueError(f"torchvision cannot make a classifier {model!r}: there is none")
    size = {"image_size": side} if model.startswith("vit_") else {}
    asked = None if _is_file(weights) or _LATER.get() else weights or None
    if asked == PRETRAINED:
        asked = "DEFAULT"
    if asked is not None:
        known = models.get_model_weights(model).__members__
        if asked not in known:
            raise ValueError(
                f"got {model}@{asked}; wanted one of {', '.join((PRETRAINED, *known))}, or a file "
                "that ends with .pth or .pt"
            )
    # a pretrained network is made with the outputs of its pretraining, which are replaced then
    outputs = {} if weights else {"num_classes": output_dim}
    try:
        net = models.get_model(model, weights=asked, **outputs, **size)
    except OSError as error:
        raise ValueError(_unreachable(f"torchvision:{model}", error)) from error
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        raise ValueError(
            f"torchvision cannot make a classifier {model!r} for {side} x {side} ({error})"
        ) from error
    if weights:
        _load_file(net, weights)
    _one_output(net, pretrained=bool(weights))
    if weights:
        owner, place, last = _last_linear(net, model)
        setattr(owner, place, nn.Linear(last.in_features, output_dim))
    return net, *_IMAGENET


def _one_output(net: nn.Module, *, pretrained: bool) -> None:
    """Take away what two of torchvision's networks have beside their output, in place.

    It depends on how they are made, and a saved model is made in another way than before.
    """
    if not hasattr(net, "aux_logits"):
        return
    net.aux_logits, net.transform_input = False, pretrained
    for name in ("aux1", "aux2", "AuxLogits"):
        if hasattr(net, name):
            setattr(net, name, None)


def _from_timm(
    model: str, channels: int, size: tuple[int, int], output_dim: int, weights: str
) -> _Made:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"encoder 'timm:{model}' needs timm, which is not installed: pip install "
            "'glimpse-envs[backbones]', or take one of torchvision"
        ) from error
    if ":" in model or "/" in model:  # of the hub or of a folder: timm would fetch or read it
        raise ValueError(f"got the network 'timm:{model}'; wanted a name of timm's own")
    if weights and not _is_file(weights) and weights != PRETRAINED:
        raise ValueError(
            f"got timm:{model}@{weights}; wanted timm:{model}@{PRETRAINED} (which weights is part "
            "of timm's names, as in resnet18.a1_in1k), or a file that ends with .pth or .pt"
        )
    arguments = {
        "in_chans": channels,
        "drop_rate": 0.0,
        "pretrained": weights == PRETRAINED and not _LATER.get(),
    }
    if not _is_file(weights):
        arguments["num_classes"] = output_dim
    try:
        try:
            net = timm.create_model(model, img_size=size, **arguments)
        except TypeError:  # it takes glimpses of any size
            net = timm.create_model(model, **arguments)
    except OSError as error:
        raise ValueError(_unreachable(f"timm:{model}", error)) from error
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(f"timm cannot make {model!r} for {size} ({error})") from error
    if _is_file(weights):
        _load_file(net, weights)
        net.reset_classifier(output_dim)
    about = net.pretrained_cfg
    mean, std = (tuple(about.get(key) or ()) for key in ("mean", "std"))
    if len(mean) != channels:  # as timm adapts the first layer
        mean, std = (sum(mean) / 3,) * channels, (sum(std) / 3,) * channels
    return net, mean, std


def _is_file(weights: str) -> bool:
    return weights.endswith((".pth", ".pt"))


def _load_file(net: nn.Module, weights: str) -> None:
    """Load a file of weights; without one nothing is done."""
    if not _is_file(weights) or _LATER.get():
        return
    path = Path(weights).expanduser()
    try:
        net.load_state_dict(th.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # PyTorch raises many for a file that is broken or of another kind
        raise ValueError(
            f"{path} cannot be loaded ({error!s:.300}); wanted a file of torch.save("
            "net.state_dict(), FILE) of the very network"
        ) from error


def _unreachable(name: str, error: OSError) -> str:
    return (
        f"the weights of {name}@{PRETRAINED} are not on this machine and cannot be downloaded "
        f"({error!s:.200}): begin once with a connection, or copy the library's cache here "
        f"(TORCH_HOME, HF_HOME), or give a file, {name}@FILE.pth, or take {name}, untrained"
    )


def _last_linear(net: nn.Module, name: str) -> tuple[nn.Module, str, nn.Linear]:
    """Return the module that owns the last linear layer, its name there, and the layer.

    :raises ValueError: where the last layer with weights is another one
    """
    layers = [(path, module) for path, module in net.named_modules() if not list(module.children())]
    layers = [(path, module) for path, module in layers if list(module.parameters(recurse=False))]
    path, last = layers[-1]
    if not isinstance(last, nn.Linear):
        raise ValueError(
            f"the last layer of {name} is a {type(last).__name__}; wanted a linear one, which can "
            "begin anew on pretrained features: choose another network"
        )
    owner, _, place = path.rpartition(".")
    return net.get_submodule(owner), place, last


class _KeptStatistics(nn.Module):
    """A batch norm whose mean and variance stay as they are; its scale and shift may learn.

    :param norm: of any number of dimensions
    """

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)

    def forward(self, features: th.Tensor) -> th.Tensor:
        """Return the normalised features, of the same shape, (B, C, ...)."""
        statistics = self.running_mean, self.running_var
        return F.batch_norm(features, *statistics, self.weight, self.bias, eps=self.eps)


def _make_stateless(net: nn.Module, *, keeps_statistics: bool) -> None:
    """Replace batch norms, and switch off every random drop, in place.

    :param keeps_statistics: by norms with the statistics that they have, else by group norms
    """
    for name, module in net.named_children():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            channels = module.num_features
            if keeps_statistics:
                norm: nn.Module = _KeptStatistics(module)
            else:
                norm = nn.GroupNorm(math.gcd(32, channels), channels)
            act = getattr(module, "act", None)  # timm's norms can hold an activation
            setattr(net, name, norm if act is None else nn.Sequential(norm, act))
        elif isinstance(getattr(module, "p", None), float):  # dropout, stochastic depth
            module.p = 0.0
        elif hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
        _make_stateless(module, keeps_statistics=keeps_statistics)
