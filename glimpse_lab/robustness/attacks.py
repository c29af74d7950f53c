"""White-box attacks on the classifier beside an agent, through the glimpses that it takes.

The attacks themselves are those of the Adversarial Robustness Toolbox (`pip install -e
".[attacks]"`). In each of their steps the agent looks at the very picture that they have come to,
and the gradient is that of the classifier's logits along this gaze. No gradient flows through the
choice of gaze, nor through the agent's own answer where it differs from the classifier's: what is
attacked is the classifier along the gaze, and the agent, shown the result, may look elsewhere and
stop at another time. With several gazes the agent acts stochastically in the attack (expectation
over transformation; Athalye et al., "Synthesizing robust adversarial examples", ICML 2018).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.strategies import Centre
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze
from glimpse_lab.robustness.differentiable import logits, see, to_uint8
from glimpse_lab.robustness.pictures import shown
from policies.classifier.model import TorchClassifier

ATTACKS = ("fgsm", "pgd")
_BATCH = 100  # pictures attacked together


@dataclass(frozen=True)
class Attack:
    """A perturbation of each pixel that raises the cross-entropy.

    By at most ``epsilon`` grey levels.

    :param kind: "fgsm" (one step; Goodfellow et al. 2015) or "pgd" (many from a random start;
        Madry et al. 2018)
    :param epsilon: 1 to 255, grey levels of 255
    :param steps: of pgd
    :param step: of pgd, grey levels; None for 2.5 epsilon / steps, as Madry et al. have it
    :param n_gazes: stochastic gazes over which the log-probabilities are averaged in each step; 1
        for the agent's deterministic one
    :param seed: of random starts and stochastic gazes
    :raises ValueError: for an unknown kind, or numbers out of range
    """

    kind: str = "pgd"
    epsilon: int = 8
    steps: int = 20
    step: float | None = None
    n_gazes: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ATTACKS:
            raise ValueError(f"got attack {self.kind!r}; wanted one of {', '.join(ATTACKS)}")
        if self.epsilon != int(self.epsilon) or not 1 <= self.epsilon <= 255:
            # anything between would be lost, or exceeded, when the picture is rounded
            raise ValueError(f"got epsilon={self.epsilon}; wanted whole grey levels from 1 to 255")
        if self.steps < 1 or self.n_gazes < 1 or (self.step is not None and self.step <= 0.0):
            raise ValueError(
                f"got steps={self.steps}, step={self.step}, n_gazes={self.n_gazes}; wanted at "
                "least 1, above 0 and at least 1"
            )

    @property
    def step_size(self) -> float:
        """Length of a step, grey levels."""
        if self.kind == "fgsm":
            return float(self.epsilon)
        return 2.5 * self.epsilon / self.steps if self.step is None else self.step


class Viewer:
    """Who looks at pictures and says what they show: an agent, or a classifier at one glance.

    :param config: its environment, of the validation or test split
    :param model: the agent; None for the classifier alone, which looks at the middle
    """

    def __init__(self, config: GlimpseConfig, model: BaseAlgorithm | None = None) -> None:
        self.config, self.model = config, model

    def view(
        self, pictures: NDArray[np.uint8], index: NDArray[np.int64], *, deterministic: bool = True
    ) -> Scanpaths:
        """Return the episodes with given pictures in the place of images.

        :param pictures: uint8 (n, H, W, C)
        :param index: of which images, ascending, int64 (n,)
        :param deterministic: act so; else an agent draws its actions from torch's generator
        """
        config = shown(self.config, pictures, index)
        if self.model is None:
            return evaluate_gaze(Centre(), config, index=index)
        return evaluate(self.model, config, index=index, deterministic=deterministic)


class AttackedViewer(nn.Module):
    """The classifier's logits for pictures that a viewer looks at, with gradients to the pictures.

    :param viewer: with a ``TorchClassifier`` in its environment
    :param n_gazes: see :class:`Attack`
    :raises ValueError: without such a classifier
    """

    def __init__(self, viewer: Viewer, n_gazes: int = 1) -> None:
        super().__init__()
        classifier = viewer.config.classifier
        if not isinstance(classifier, TorchClassifier):
            raise ValueError(
                f"got classifier {classifier!r}: these attacks follow the gradients of a "
                "TorchClassifier beside the agent, and are not defined without one; corruptions "
                "are"
            )
        # hidden from torch: who attacks must not switch it to training
        self._inner = (viewer, classifier)
        self.n_gazes = n_gazes
        #: which images the pictures of the next call stand for, int64 (B,)
        self.index: NDArray[np.int64] = np.zeros(0, np.int64)

    def forward(self, images: th.Tensor) -> th.Tensor:
        """Return float64 (B, K), so that the cross-entropy of one that is sure has a gradient.

        :param images: float32 (B, C, H, W) in [0, 1], of the images ``index``
        """
        viewer, classifier = self._inner
        pixels = 255.0 * images
        pictures = to_uint8(pixels)
        log_probabilities = []
        for _ in range(self.n_gazes):
            paths = viewer.view(pictures, self.index, deterministic=self.n_gazes == 1)
            longest = int(paths.n_glimpses.max())
            gaze = np.nan_to_num(paths.gaze[:, :longest], nan=0.5)  # of glimpses not taken
            glimpses = see(viewer.config.sensor, pixels, gaze)
            read = logits(classifier, glimpses, gaze, paths.n_glimpses).double()
            if self.n_gazes == 1:
                return read
            log_probabilities.append(read.log_softmax(dim=1))
        return th.stack(log_probabilities).mean(dim=0)


def attack(
    viewer: Viewer,
    pictures: NDArray[np.uint8],
    index: NDArray[np.int64],
    settings: Attack,
    *,
    progress: Callable[[int], Any] | None = None,
) -> NDArray[np.uint8]:
    """Return pictures that differ by at most epsilon.

    The classifier is wrong about them if the attack succeeds.

    :param viewer: who looks at them
    :param pictures: uint8 (n, H, W, C)
    :param index: whose labels and first gazes they have, ascending, int64 (n,)
    :param settings: of the attack
    :param progress: called with the number of pictures after each batch of them
    :raises ValueError: if the viewer has no ``TorchClassifier``, or its sensor no known gradient
    :raises ImportError: if the Adversarial Robustness Toolbox is not installed
    """
    attacked = AttackedViewer(viewer, settings.n_gazes)
    method = _method(attacked, viewer.config, settings)
    labels = viewer.config.shown_split.labels[index]
    result = np.empty_like(pictures)
    with _seeded(settings.seed), _fixed(viewer.config.classifier):
        for start in range(0, len(index), _BATCH):
            some = slice(start, start + _BATCH)
            attacked.index = index[some]
            images = pictures[some].transpose(0, 3, 1, 2).astype(np.float32) / 255.0
            images = method.generate(images, labels[some])
            result[some] = to_uint8(255.0 * th.as_tensor(images))
            if progress is not None:
                progress(len(attacked.index))
    return result


def _method(attacked: AttackedViewer, config: GlimpseConfig, settings: Attack) -> Any:
    """Return the toolbox's attack, which takes a batch at a time."""
    try:
        from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentPyTorch
        from art.estimators.classification import PyTorchClassifier
    except ImportError as error:
        raise ImportError(
            'attacks need the Adversarial Robustness Toolbox: pip install -e ".[attacks]" '
            f"({error})"
        ) from error
    height, width, channels = config.shape
    device = next(config.classifier.parameters()).device
    estimator = PyTorchClassifier(
        attacked,
        loss=nn.CrossEntropyLoss(reduction="sum"),  # each picture's own gradient
        input_shape=(channels, height, width),
        nb_classes=config.dataset.n_classes,
        clip_values=(0.0, 1.0),
        device_type="cpu" if device.type == "cpu" else "gpu",
    )
    common = {"norm": np.inf, "eps": settings.epsilon / 255.0, "batch_size": _BATCH}
    if settings.kind == "fgsm":
        return FastGradientMethod(estimator, **common)
    return ProjectedGradientDescentPyTorch(
        estimator,
        **common,
        eps_step=settings.step_size / 255.0,
        max_iter=settings.steps,
        num_random_init=1,
        verbose=False,
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Give the draws of the toolbox (numpy's) and of the policy (torch's) a seed of their own."""
    before = np.random.get_state()  # noqa: NPY002 (the toolbox draws from it)
    with th.random.fork_rng():
        th.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


@contextmanager
def _fixed(module: nn.Module) -> Iterator[None]:
    """Leave no gradients in a module's parameters."""
    before = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, requires_grad in before:
            parameter.requires_grad_(requires_grad)
