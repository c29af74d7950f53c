"""What an environment is made of: the parts by name or object, resolved and checked together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.actions import ActionScheme
from glimpse_envs.classifier import GlimpseClassifier, resolve_classifier
from glimpse_envs.components import is_integer, nearest, resolve
from glimpse_envs.data.augmentation import Augmentation
from glimpse_envs.data.datasets import SPLITS, Split
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.gaze import Geometry
from glimpse_envs.moving import scene_of
from glimpse_envs.observation_space import ObservationSpace, image_space
from glimpse_envs.proportions import lane_geometry, least_side
from glimpse_envs.rewards import Reward
from glimpse_envs.scenes import Scene
from glimpse_envs.sensors import Sensor

MOST_GLIMPSES = 10_000
"""Of an episode: every lane keeps its gazes."""

MOST_PIXELS = 2**24
"""Of one image or one glimpse."""

STARTS = ("overview", "centre", "random", "target")


@dataclass(frozen=True)
class GlimpseConfig:
    """The parts of a glimpse environment. Each may be an object, a name, or a dict with a type.

    :param dataset: an ``ImageDataset``, a name such as "cifar10" or "folder:PATH", or a dict
    :param scene: what is shown of an image
    :param sensor: what a glimpse is
    :param scheme: what the agent can do
    :param reward: what a step earns
    :param budget: the most glimpses of an episode, the first included
    :param start: first gaze: "overview" (the largest window), "centre", "random" or "target" (the
        image on its canvas), these at zoom 1; None for the scheme's own
    :param classifier: watches the glimpses; adds ``belief`` to the observation. An object, or the
        name of a registered kind or a dict with its type, of which one is made
    :param observe_classifier_features: add the classifier's hidden features as
        ``classifier_features`` to the observation
    :param observe_history: add the glimpses and gazes so far to the observation, as ``glimpses``,
        ``gazes`` and the mask ``taken``: for agents without a memory
    :param split: "train", "validation" or "test"
    :param scene_seed: fixes canvas and random start of every validation and test image; those of
        the train split are drawn anew for every episode from the lane's seed
    :param augment: what varies the images of the train split, such as "ShiftFlip"; None: nothing
    """

    dataset: Any = "digits"
    scene: Any = "Plain"
    sensor: Any = "Crop"
    scheme: Any = "MultiCategorical"
    reward: Any = "Terminal"
    budget: int = 8
    start: str | None = None
    classifier: Any = None
    observe_classifier_features: bool = False
    observe_history: bool = False
    split: str = "train"
    scene_seed: int = 0
    augment: Any = None

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("dataset", load_dataset(self.dataset))
        for name, base in _KINDS.items():
            put(name, resolve(getattr(self, name), base))
        if self.start is None:
            put("start", self.scheme.start)
        _check_choice("start", self.start, STARTS)
        put("scene", self._scene_shown())
        if self.augment is not None:
            put("augment", resolve(self.augment, Augmentation))
        if not is_integer(self.scene_seed) or not 0 <= self.scene_seed < 2**63:
            raise ValueError(f"got scene_seed={self.scene_seed!r}; wanted an integer from 0")
        self._check_budget()
        for name in ("observe_classifier_features", "observe_history"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ValueError(f"got {name}={getattr(self, name)!r}; wanted True or False")
        self._check_size()
        self._check_target()
        if self.augment is not None:
            self.augment.check_shape(*self.shape[:2])
        self._check_proportions()
        put("classifier", resolve_classifier(self.classifier, self))
        self._check_classifier()
        _ = self.shown_split, self.geometry  # an unknown split or a sensor that does not fit
        self._check_glimpse()

    def __reduce__(self) -> tuple[Any, ...]:
        # by the fields alone: what is cached beside them, such as the images, is found again
        return type(self), tuple(getattr(self, name) for name in self.__dataclass_fields__)

    @cached_property
    def shown_split(self) -> Split:
        """The split that is shown."""
        return self.dataset.split(self.split)

    @property
    def augmented(self) -> bool:
        """Whether what is shown is augmented."""
        return self.augment is not None and self.split == "train"

    @property
    def composed(self) -> bool:
        """Whether every episode shows something of its own, not an image as it is stored."""
        return self.scene.composed or self.augmented

    @property
    def nobody_answers(self) -> bool:
        """Whether no class is answered: nothing of an episode is but where the agent looked."""
        return not self.scheme.answers and self.classifier is None

    @cached_property
    def tracked(self) -> bool:
        """Whether the scene tells where the image is, and it moves, or to look at it is all."""
        return (self.scene.moves or self.nobody_answers) and self._why_no_target() is None

    @property
    def follows(self) -> bool:
        """Whether all there is to do is to look at the image that an episode is about."""
        return self.nobody_answers and self.tracked

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what is shown."""
        height, width, channels = self.dataset.image_shape
        return (*self.scene.shape(height, width), channels)

    @cached_property
    def geometry(self) -> Geometry:
        """The gazes that are possible."""
        return self.sensor.geometry(*self.shape[:2])

    @property
    def extents(self) -> NDArray[np.int64] | None:
        """Height and width of each image, int64 (N, 2); None where they fill what is shown."""
        return self.shown_split.extents if self.scene.keeps_places else None

    def lane_geometry(self, n_lanes: int) -> Geometry:
        """Return the gazes that are possible on so many lanes."""
        if self.extents is None:
            return self.geometry
        augment = self.augment if self.augmented else None
        return lane_geometry(self.geometry, self.extents, augment, n_lanes)

    @cached_property
    def action_space(self) -> spaces.Space:
        """The action space of one lane."""
        return self.scheme.action_space(self.dataset.n_classes)

    @cached_property
    def observation_space(self) -> spaces.Dict:
        """The observation space of one lane."""

        def unit(*shape: int) -> spaces.Box:
            return spaces.Box(0.0, 1.0, shape, np.float32)

        glimpse = self.sensor.glimpse_shape(self.shape[2])
        parts: dict[str, spaces.Space] = {
            "glimpse": image_space(glimpse),
            "gaze": unit(3),
            "remaining": unit(1),
        }
        for name, rows in self.scheme.memory(1).items():
            parts[name] = unit(rows.shape[1])
        if self.classifier is not None:
            parts["belief"] = unit(self.dataset.n_classes)
        if self.observe_classifier_features:
            parts["classifier_features"] = spaces.Box(
                -np.inf, np.inf, (self.classifier.hidden_size,), np.float32
            )
        if self.observe_history:
            parts["glimpses"] = spaces.Box(0, 255, (self.budget, *glimpse), np.uint8)
            parts["gazes"] = unit(self.budget, 3)
            parts["taken"] = unit(self.budget)
        return ObservationSpace(parts)

    def _scene_shown(self) -> Scene:
        """Return what shows the data set; tell all at once where clips do not fit."""
        try:
            return scene_of(self.scene, self.dataset)
        except ValueError as error:
            target = [f"reward {self.reward}"] if self.reward.needs_target else []
            target += ['start="target"'] if self.start == "target" else []
            if self.dataset.frames == 1 or not target:
                raise
            raise ValueError(
                f"{error}; and no {' and '.join(target)}, as no clip tells where something is: "
                "take an id that shows images as they are, such as GlimpseCIFAR-MultiCat-v0"
            ) from None

    def _check_budget(self) -> None:
        low = self.scheme.least_budget
        if not is_integer(self.budget):
            raise ValueError(f"got budget={self.budget!r}; wanted an integer of at least {low}")
        if self.budget < low:
            raise ValueError(
                f"got budget={self.budget}; wanted at least {low} glimpses for "
                f"{type(self.scheme).__name__}"
            )

    def _check_size(self) -> None:
        """Refuse what would not fit into memory, before a part of it is made."""
        if self.budget > MOST_GLIMPSES:
            raise ValueError(f"got budget={self.budget}; wanted at most {MOST_GLIMPSES:,} glimpses")
        height, width, channels = self.shape
        glimpse = self.sensor.glimpse_shape(channels)
        if height * width > MOST_PIXELS or math.prod(glimpse) > MOST_PIXELS:
            raise ValueError(
                f"got images of {height} x {width} and glimpses of shape {tuple(glimpse)}; wanted "
                f"at most {MOST_PIXELS:,} pixels: take a smaller scene or sensor"
            )

    def _check_proportions(self) -> None:
        """Refuse what images that do not fill their frames cannot be shown with."""
        kept = {name: self.dataset.split(name).extents for name in SPLITS}
        kept = {name: extents for name, extents in kept.items() if extents is not None}
        if not kept:
            return
        if not self.scene.keeps_places:
            raise ValueError(
                f"got {self.scene} of images that keep their proportions in frames (fit: keep), "
                "which would lie on it as bars; wanted scene Plain, or fit: crop"
            )
        reach = 0 if self.augment is None else self.augment.reach
        if reach is None:
            raise ValueError(
                f"got {self.augment} for images that keep their proportions in frames (fit: keep); "
                "wanted a motion, such as ShiftFlip with fill: zeros"
            )
        for name, extents in kept.items():
            least = least_side(extents, self.shape[:2], reach if name == "train" else 0)
            if least < self.sensor.size:
                raise ValueError(
                    f"a sensor of {self.sensor.size} pixels does not fit the narrowest image of "
                    f"{name}, {extents.min()} pixels in a frame of {self.shape[0]} x "
                    f"{self.shape[1]} (moved by up to {reach}; proportions are kept by fit: keep): "
                    "take a smaller sensor or shift, leave the image out, or fit: crop"
                )

    def _check_target(self) -> None:
        """Refuse what depends on where the image lies, where the scene does not tell that."""
        if self.start != "target" and not self.reward.needs_target:
            return
        error = self._why_no_target()
        if error is not None:
            what = 'start="target"' if self.start == "target" else f"reward {self.reward}"
            raise ValueError(
                f"{what} needs a scene that tells where its images lie ({error}): take another "
                "scene, or define it"
            ) from error

    def _why_no_target(self) -> NotImplementedError | None:
        """Return why it is not known where images lie; None where it is."""
        nothing = np.zeros(0, np.uint64)
        size = self.dataset.image_shape[:2]
        try:
            corners = self.scene.places_at(*size, nothing, nothing.astype(np.int64))
            if self.augmented:
                self.augment.moved(corners, size, self.shape[1], nothing)
        except NotImplementedError as error:
            return error
        return None

    def _check_glimpse(self) -> None:
        """Look once at a black image: a sensor of one's own may give something else."""
        wanted = self.sensor.glimpse_shape(self.shape[2])
        black = np.zeros((1, *self.shape), np.uint8)
        glimpse = self.sensor(black, np.full((1, 3), 0.5, np.float32))
        if glimpse.dtype != np.uint8 or glimpse.shape != (1, *wanted):
            raise ValueError(
                f"{self.sensor} gives glimpses {glimpse.dtype} {glimpse.shape[1:]}; wanted uint8 "
                f"{wanted}, as its glimpse_shape says"
            )

    def _check_classifier(self) -> None:
        how = (
            "attach one: gymnasium.make(id, classifier=...) with a kind by name (after import "
            'policies), such as "gru", which begins untrained, or {"type": "file", "path": '
            '"model.zip"}, the one of a run; or an object that has n_classes, hidden_size, start '
            "and update (see glimpse_envs.GlimpseClassifier)"
        )
        if self.classifier is None:
            part = self._part_wanting_classifier()
            if part is not None:
                raise ValueError(f"{part} needs a classifier and none is attached; {how}")
            return
        if not isinstance(self.classifier, GlimpseClassifier):
            raise ValueError(f"got classifier {self.classifier!r}; {how}")
        if self.classifier.n_classes != self.dataset.n_classes:
            raise ValueError(
                f"the classifier knows {self.classifier.n_classes} classes, data set "
                f"{self.dataset.name!r} has {self.dataset.n_classes}; take one trained on it"
            )
        if hasattr(self.classifier, "adapted_to"):
            adapted = self.classifier.adapted_to(self)
            if getattr(adapted, "n_classes", None) != self.dataset.n_classes:
                raise ValueError(
                    f"adapted_to of {type(self.classifier).__name__} gave {adapted!r:.80}; wanted "
                    f"a classifier of {self.dataset.n_classes} classes, itself or another"
                )
            object.__setattr__(self, "classifier", adapted)
        if self.observe_classifier_features and self.classifier.hidden_size < 1:
            raise ValueError(
                "observe_classifier_features=True, and the classifier's hidden_size is 0"
            )
        self._check_reading()

    def _part_wanting_classifier(self) -> str | None:
        if self.scheme.needs_classifier:
            return f"action scheme {type(self.scheme).__name__}"
        if self.reward.needs_classifier:
            return f"reward {type(self.reward).__name__}"
        return "observe_classifier_features=True" if self.observe_classifier_features else None

    def _check_reading(self) -> None:
        """Let the classifier read one black glimpse."""
        classifier = self.classifier
        black = np.zeros((1, *self.sensor.glimpse_shape(self.shape[2])), np.uint8)
        try:
            start = np.asarray(classifier.start(1))
            reading = classifier.update(start, black, np.full((1, 3), 0.5, np.float32))
            got = tuple(np.shape(part) for part in reading)
        except Exception as error:  # whatever a classifier of one's own raises
            raise ValueError(
                f"the classifier cannot read a glimpse of shape {black.shape[1:]} "
                f"({type(error).__name__}: {error}); see glimpse_envs.GlimpseClassifier"
            ) from error
        wanted = (start.shape, (1, classifier.n_classes), (1, classifier.hidden_size))
        if got != wanted:
            raise ValueError(
                f"the classifier's update gives state, belief and hidden of shapes {got}; wanted "
                f"{wanted} for one lane"
            )


def make_config(**parts: Any) -> GlimpseConfig:
    """Return the configuration made of ``parts``, with a hint for an unknown argument."""
    known = GlimpseConfig.__dataclass_fields__
    for name in parts:
        if name not in known:
            raise ValueError(
                f"glimpse environments have no argument {name!r}; {nearest(name, known)}"
            )
    return GlimpseConfig(**parts)


_KINDS = {"scene": Scene, "sensor": Sensor, "scheme": ActionScheme, "reward": Reward}


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"got {name}={value!r}; {nearest(value, choices)}")
