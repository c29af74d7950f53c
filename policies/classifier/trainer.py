"""Training a glimpse classifier by cross-entropy at every glimpse."""

import inspect
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm

from glimpse_envs.components import nearest
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import Sequences
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.model import TorchClassifier
from policies.classifier.optimizer import ClassifierOptimizer
from policies.classifier.replay import Collector
from policies.ranges import checks_arguments


class DivergedError(ValueError):
    """Training gave a loss that is not finite; the message says what to try."""


class Fit(NamedTuple):
    """What one update saw.

    :param loss: weighted mean cross-entropy, nats
    :param right: by number of glimpses, how many of the prefixes read were classified rightly,
        int64 (budget + 1,)
    :param read: by number of glimpses, how many were read, int64 (budget + 1,)
    """

    loss: float
    right: NDArray[np.int64]
    read: NDArray[np.int64]


class Fitter:
    """Updates a classifier on batches of glimpse sequences.

    The loss is the cross-entropy after every glimpse: weight 1 after an episode's last one,
    ``early_weight`` after the others, divided by their sum over the episode. (A canvas reads one
    prefix of each episode, drawn by these weights.)

    :param classifier: what is trained
    :param optimizer: ``"muon"`` for the memory's matrices and convolutions, with AdamW for the
        rest, or ``"adamw"`` for all, see :mod:`policies.classifier.optimizer`
    :param learning_rate: of AdamW, at ``scale`` 1
    :param muon_learning_rate: of Muon, at ``scale`` 1
    :param weight_decay: of both
    :param early_weight: see above
    :param label_smoothing: share of the target spread over all classes
    :param max_grad_norm: gradients are clipped to this norm; None: they are not
    :param bfloat16: compute in bfloat16 where the processor does so natively (about twice as fast
        on CPUs with AVX512-BF16 or AMX); weights stay float32
    :param seed: of the draws of prefixes
    """

    @checks_arguments
    def __init__(
        self,
        classifier: TorchClassifier,
        *,
        optimizer: str = "muon",
        learning_rate: float = 2e-3,
        muon_learning_rate: float = 0.015,
        weight_decay: float = 0.05,
        early_weight: float = 0.25,
        label_smoothing: float = 0.1,
        max_grad_norm: float | None = None,
        bfloat16: bool = True,
        seed: int = 0,
    ) -> None:
        self.classifier = classifier
        self.early_weight = early_weight
        self.label_smoothing = label_smoothing
        self.max_grad_norm = max_grad_norm
        native = native_bfloat16(next(classifier.parameters()).device)
        self.bfloat16 = bfloat16 and classifier.memory.takes_bfloat16 and native
        self.rng = np.random.default_rng(seed)
        self.optimizer = ClassifierOptimizer(
            classifier.memory,
            classifier.readout,
            kind=optimizer,
            learning_rate=learning_rate,
            muon_learning_rate=muon_learning_rate,
            weight_decay=weight_decay,
        )

    def update(self, batch: Sequences, scale: float = 1.0) -> Fit:
        """Make one step of the optimiser.

        :param batch: episodes
        :param scale: of the learning rates
        :raises DivergedError: if the loss or its gradient is not finite; nothing has been updated
            then
        """
        classifier = self.classifier
        device = next(classifier.parameters()).device
        statistics = [buffer.clone() for buffer in classifier.buffers()]  # of normalisations
        classifier.train()
        try:
            with th.autocast(device.type, dtype=th.bfloat16, enabled=self.bfloat16):
                prefixes = classifier.memory.prefixes(batch, self.early_weight, self.rng)
                logits = classifier.readout(prefixes.hidden).float()
            labels = th.as_tensor(batch.labels[prefixes.rows], device=device)
            losses = F.cross_entropy(
                logits, labels, reduction="none", label_smoothing=self.label_smoothing
            )
            loss = losses @ th.as_tensor(prefixes.weights, device=device)
            loss.backward()
            gradients = [p.grad for p in classifier.parameters() if p.grad is not None]
            norm = th.nn.utils.get_total_norm(gradients)
            if not (th.isfinite(loss) and th.isfinite(norm)):
                for buffer, before in zip(classifier.buffers(), statistics, strict=True):
                    buffer.copy_(before)
                classifier.zero_grad()
                raise DivergedError(
                    f"the classifier's loss became {loss.item()}, its gradient's norm "
                    f"{norm.item()}: try smaller learning rates (learning_rate, "
                    "muon_learning_rate), or bfloat16=false"
                )
            if self.max_grad_norm is not None:
                th.nn.utils.clip_grads_with_norm_(classifier.parameters(), self.max_grad_norm, norm)
            self.optimizer.step(scale)
        finally:
            classifier.eval()
        right = (logits.detach().argmax(dim=1) == labels).cpu().numpy()
        size = batch.gaze.shape[1] + 1
        return Fit(
            loss.item(),
            np.bincount(prefixes.counts[right], minlength=size),
            np.bincount(prefixes.counts, minlength=size),
        )


def pretrain(
    fitter: Fitter,
    config: GlimpseConfig,
    strategy: ScriptedGaze,
    n_images: int,
    *,
    begun: int = 0,
    batch_size: int = 256,
    scales: tuple[float, float] = (1.0, 0.0),
    seed: int | list[int] = 0,
    progress: bool = True,
) -> Iterator[int]:
    """Train on fresh episodes along a given gaze.

    Yields after every update, so that the caller can save or stop.

    :param fitter: of the classifier
    :param config: the environment whose train split, scene and sensor are seen
    :param strategy: the gaze
    :param n_images: episodes, each used once
    :param begun: how many of them an earlier call has seen
    :param batch_size: episodes of one update
    :param scales: shares of the learning rate from which and to which it falls linearly, after a
        rise over the first tenth
    :param seed: of images, scenes and gaze
    :param progress: show a progress bar with the accuracy by glimpse
    :return: iterator over the number of images seen
    """
    collector = Collector(config, strategy, seed, begun=begun)
    n_updates = max(1, n_images // batch_size)
    first = begun // batch_size
    running = None
    with tqdm(
        total=n_updates * batch_size,
        initial=first * batch_size,
        desc="classifier",
        disable=not progress,
        unit=" images",
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    ) as bar:
        for update in range(first, n_updates):
            rise = min(1.0, (update + 1) / (0.1 * n_updates))
            fall = scales[0] + (scales[1] - scales[0]) * update / n_updates
            fit = fitter.update(collector.collect(batch_size), scale=min(rise * scales[0], fall))
            seen = np.stack([fit.right, fit.read]).astype(float)
            running = seen if running is None else 0.98 * running + seen
            bar.update(batch_size)
            bar.set_postfix_str(f"accuracy by glimpse {by_glimpse(*running)}", refresh=False)
            yield (update + 1) * batch_size


def check_arguments(arguments: dict[str, Any]) -> None:
    """Raise a ValueError for arguments that :class:`Fitter` does not take.

    :param arguments: by name
    """
    known = inspect.signature(Fitter).parameters
    for name in arguments:
        if name not in known or name == "classifier":
            raise ValueError(f"the classifier's training has no {name!r}; {nearest(name, known)}")


def by_glimpse(right: NDArray, read: NDArray) -> str:
    """Return the accuracies by number of glimpses as text, "-" where none was read."""
    pairs = zip(right[1:], read[1:], strict=True)
    return " ".join(f"{100 * r / n:.1f}" if n else "-" for r, n in pairs)


def native_bfloat16(device: th.device) -> bool:
    """Whether bfloat16 is faster than float32 there."""
    if device.type == "cuda":
        return th.cuda.is_bf16_supported(including_emulation=False)
    supported: Any = getattr(th.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(supported())
