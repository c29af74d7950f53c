"""Networks of torchvision and timm, by name, as encoders of larger glimpses."""

from __future__ import annotations

import math

import torch as th
from torch import nn

LIBRARIES = ("torchvision", "timm")


class Backbone(nn.Module):
    """An untrained network of a library, with a linear layer of ``output_dim`` as its last.

    An update must compute what the rollout did, or PPO's ratio is not 1 where nothing has changed:
    batch norms become group norms, and nothing is dropped.

    :param name: ``"torchvision:resnet18"``, ``"timm:vit_tiny_patch16_224"`` and so on
    :param channels: channels of a glimpse; torchvision's networks see grey ones as RGB
    :param height: its height
    :param width: its width
    :param output_dim: size of the code
    :raises ValueError: for a name that is not known, or glimpses that the network does not take
    :raises ImportError: for one of timm where that is not installed
    """

    def __init__(self, name: str, channels: int, height: int, width: int, output_dim: int) -> None:
        super().__init__()
        library, _, model = name.partition(":")
        self.repeats = 1
        if library == "torchvision":
            if channels not in (1, 3):
                raise ValueError(f"got glimpses of {channels} channels; {name} takes 1 or 3")
            self.repeats = 3 // channels
            self.net = _from_torchvision(model, min(height, width), output_dim)
        else:
            self.net = _from_timm(model, channels, (height, width), output_dim)
        _make_stateless(self.net)
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

        :param glimpse: float32 (B, C, H, W) in [0, 1]
        """
        return self.net(glimpse.repeat(1, self.repeats, 1, 1))


def _from_torchvision(model: str, side: int, output_dim: int) -> nn.Module:
    from torchvision import models  # takes a second, and few need it

    if model not in models.list_models(module=models):  # those of other tasks download weights
        raise ValueError(f"torchvision cannot make a classifier {model!r}: there is none")
    size = {"image_size": side} if model.startswith("vit_") else {}
    try:
        return models.get_model(model, num_classes=output_dim, **size)
    except (ValueError, TypeError, AssertionError) as error:
        raise ValueError(
            f"torchvision cannot make a classifier {model!r} for {side} x {side} ({error})"
        ) from error


def _from_timm(model: str, channels: int, size: tuple[int, int], output_dim: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"encoder 'timm:{model}' needs timm, which is not installed: pip install "
            "'glimpse-envs[backbones]', or take one of torchvision"
        ) from error
    if ":" in model or "/" in model:  # of the hub or of a folder: timm would fetch or read it
        raise ValueError(f"got the network 'timm:{model}'; wanted a name of timm's own")
    arguments = {"num_classes": output_dim, "in_chans": channels, "drop_rate": 0.0}
    try:
        try:
            return timm.create_model(model, img_size=size, **arguments)
        except TypeError:  # it takes glimpses of any size
            return timm.create_model(model, **arguments)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(f"timm cannot make {model!r} for {size} ({error})") from error


def _make_stateless(net: nn.Module) -> None:
    """Replace batch norms by group norms, and switch off every random drop, in place."""
    for name, module in net.named_children():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            channels = module.num_features
            norm = nn.GroupNorm(math.gcd(32, channels), channels)
            act = getattr(module, "act", None)  # timm's norms can hold an activation
            setattr(net, name, norm if act is None else nn.Sequential(norm, act))
        elif isinstance(getattr(module, "p", None), float):  # dropout, stochastic depth
            module.p = 0.0
        elif hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
        _make_stateless(module)
