"""What an answer costs to compute: multiply-adds, parameters and milliseconds an image.

Samples are what an agent reads; this is what it reckons with them. Each part is measured on the
glimpses that the agent really takes, beside a network of the same kind that is shown the whole
image.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from glimpse_envs.boxview import BoxView
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore
from glimpse_lab.evaluation.full_image import full_image_config
from glimpse_lab.evaluation.result import Compute, Part

_LANES = 128
_T = TypeVar("_T")
_Measures = dict[str, Callable[..., Any]]


class _Meter:
    """Adds up the time and the multiply-adds of calls.

    :param network: that is called, or called by what is
    """

    def __init__(self, network: Any = None) -> None:
        self.seconds, self.multiply_adds = 0.0, 0.0
        modules = network.modules() if isinstance(network, nn.Module) else ()
        # of oneDNN an LSTM is one operation, which the counter does not know; all else is
        # computed several times as fast by it
        self.without_onednn = any(isinstance(module, nn.LSTM) for module in modules)

    def timed(self, function: Callable[..., _T], *args: Any) -> _T:
        begin = time.perf_counter()
        result = function(*args)
        self.seconds += time.perf_counter() - begin
        return result

    def counted(self, function: Callable[..., _T], *args: Any) -> _T:
        enabled = th.backends.mkldnn.is_available() and not self.without_onednn
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # switching oneDNN speaks of GPUs
            with (
                FlopCounterMode(display=False) as counter,
                th.backends.mkldnn.flags(enabled=enabled),
                th.backends.cudnn.flags(enabled=False),  # as with oneDNN
                sdpa_kernel(SDPBackend.MATH),  # the counter knows no fused attention of CPUs
            ):
                result = function(*args)
        self.multiply_adds += counter.get_total_flops() / 2  # it counts both
        return result

    def part(self, parameters: int, n_images: int, *, layers: bool = True) -> Part:
        return Part(
            multiply_adds=self.multiply_adds / n_images if layers else None,
            parameters=parameters,
            milliseconds=1000.0 * self.seconds / n_images,
        )


def measure_compute(model: BaseAlgorithm, config: GlimpseConfig, n_images: int = 512) -> Compute:
    """Return what the agent's answers on the first images of the split cost.

    The agent plays twice, once to count and once for the clock; lanes that have answered are not
    computed further.

    :param model: the trained agent
    :param config: the environment, with the split
    :param n_images: at most
    """
    n_images = min(n_images, len(config.shown_split))
    networks = {"sensor": None, "policy": model.policy, "classifier": config.classifier}
    meters = {name: _Meter(network) for name, network in networks.items()}
    n_glimpses = 0
    for name in ("counted", "timed"):
        for begin in range(0, n_images, _LANES):
            index = np.arange(begin, min(begin + _LANES, n_images))
            measures = {part: getattr(meter, name) for part, meter in meters.items()}
            n_glimpses += _play(model, config, index, measures)
    classifier = config.classifier
    is_network = isinstance(classifier, nn.Module)
    return Compute(
        device=str(model.device),
        threads=th.get_num_threads(),
        lanes=min(_LANES, n_images),
        mean_glimpses=n_glimpses / (2 * n_images),
        sensor=meters["sensor"].part(0, n_images, layers=False),
        policy=meters["policy"].part(_size(model.policy), n_images),
        classifier=None
        if classifier is None
        else meters["classifier"].part(_size(classifier) if is_network else 0, n_images),
        full_image=measure_full_image(config, n_images=n_images),
    )


def measure_full_image(
    config: GlimpseConfig,
    *,
    width: int | None = None,
    resolution: int | None = None,
    n_images: int = _LANES,
) -> Part:
    """Return what one answer of a network that is shown the whole image costs.

    Its weights make no difference, and are random.

    :param config: of the agent
    :param width: of a canvas; None for the agent's own kind of classifier
    :param resolution: pixels a side that the image is shown with; None for all
    :param n_images: that the means are over
    """
    glance = full_image_config(config, width=width, resolution=resolution)
    network = glance.classifier
    if isinstance(config.classifier, nn.Module):
        network.to(next(config.classifier.parameters()).device)
    meter = _Meter(network)
    index = np.arange(min(_LANES, n_images, len(glance.shown_split)))
    core = GlimpseCore(glance, len(index))
    core.reset(core.lanes, index)
    glimpse, gaze = core.source.read(core.lanes, core.gaze, core.times), core.gaze
    state = network.start(len(index))
    meter.counted(network.update, state, glimpse, gaze)
    network.update(state, glimpse, gaze)  # the first one compiles
    rounds = max(1, n_images // len(index))
    for _ in range(rounds):
        meter.timed(network.update, state, glimpse, gaze)
    return Part(
        multiply_adds=meter.multiply_adds / len(index),
        parameters=_size(network),
        milliseconds=1000.0 * meter.seconds / (rounds * len(index)),
    )


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _play(
    model: BaseAlgorithm, config: GlimpseConfig, index: NDArray[np.int64], measures: _Measures
) -> int:
    """Play an episode with each image, its parts apart; return the number of glimpses.

    The simulation runs beside, for the observations.
    """
    core = GlimpseCore(config, len(index))
    space = config.action_space
    view = BoxView(space) if isinstance(space, spaces.Dict) else None
    observation = core.reset(core.lanes, index)
    running = core.lanes
    states: dict[str, Any] = {"policy": None, "classifier": None}
    if config.classifier is not None:
        states["classifier"] = config.classifier.start(len(index))
    n_glimpses = _look(core, running, states, measures)
    first = True
    while len(running):
        chosen = _decide(model, core, observation, running, first, states, measures)
        taken = core.n_glimpses.copy()
        step = core.step(chosen if view is None else view.decode(chosen))
        n_glimpses += _look(
            core, running[core.n_glimpses[running] > taken[running]], states, measures
        )
        observation, running, first = step.observation, running[~step.ended[running]], False
    return n_glimpses


def _look(
    core: GlimpseCore, lanes: NDArray[np.int64], states: dict[str, Any], measures: _Measures
) -> int:
    """Take and classify the present glimpse of some lanes; return their number."""
    if not len(lanes):
        return 0
    gaze, classifier = core.gaze[lanes], core.config.classifier
    glimpse = measures["sensor"](core.source.read, lanes, gaze, core.times[lanes])
    if classifier is not None:
        before = states["classifier"][lanes]
        states["classifier"][lanes] = measures["classifier"](
            classifier.update, before, glimpse, gaze
        ).state
    return len(lanes)


def _decide(
    model: BaseAlgorithm,
    core: GlimpseCore,
    observation: dict[str, NDArray],
    lanes: NDArray[np.int64],
    first: bool,
    states: dict[str, Any],
    measures: _Measures,
) -> NDArray:
    """Return the actions of all lanes, chosen for some of them and 0 for the others."""
    shown = {key: rows[lanes] for key, rows in observation.items()}
    state = states["policy"]
    before = None if state is None else tuple(rows[:, lanes] for rows in state)
    chosen, after = measures["policy"](
        model.predict, shown, before, np.full(len(lanes), first), True
    )
    if after is not None:  # of an LSTM or a memory of tokens, (layers, n, size) each
        state = state or tuple(np.zeros_like(rows) for rows in after)
        for rows, new in zip(state, after, strict=True):
            rows[:, lanes] = new
        states["policy"] = state
    actions = np.zeros((core.n_lanes, *chosen.shape[1:]), chosen.dtype)
    actions[lanes] = chosen
    return actions
