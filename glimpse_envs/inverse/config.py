"""What an environment of inverse action modelling is made of, resolved and checked together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.components import is_integer, nearest, resolve
from glimpse_envs.data.datasets import SPLITS, Split
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.inverse import gui  # noqa: F401  # its scene is known by name
from glimpse_envs.inverse.actions import ANGLE, ATTRIBUTES, ActionTable
from glimpse_envs.inverse.instructions import LENGTH, Instructions, check_noun
from glimpse_envs.inverse.scenes import CanvasScene, ImageShape
from glimpse_envs.inverse.similarity import Similarity
from glimpse_envs.observation_space import ObservationSpace, image_space

MOST_STEPS = 10_000

DRAWN_SCREENS = {"train": 100_000, "validation": 2_000, "test": 2_000}
"""Numbers of images of scenes that draw their own."""


@dataclass(frozen=True)
class InverseConfig:
    """The parts of an inverse environment. Each may be an object, a name, or a dict with a type.

    :param dataset: an ``ImageDataset``, a name such as "mnist" or "folder:PATH", or a dict; None
        for scenes that draw their own images
    :param scene: what lies on the canvas: "Objects" or "Gui"
    :param actions: types of actions, such as ["MoveX", {"type": "Rotate", "largest": 30.0}]; None
        for the scene's own
    :param similarity: of a canvas and its target, of which the reward is made
    :param max_steps: the most actions of an episode: 1 to tell the action, more for planning
    :param changes: how many actions, all of different types, lie between before and after
    :param success: an episode of several steps ends as soon as the similarity is so large
    :param split: "train", "validation" or "test"
    :param scene_seed: fixes state, action and surroundings of every validation and test image;
        those of the train split are drawn anew for every episode from the lane's seed
    :param instructions: true to tell the action in words in the place of the image after it, or
        what the object is called in them, such as "digit" (true: "object", of the GUI "panel")
    """

    dataset: Any = "digits"
    scene: Any = "Objects"
    actions: Any = None
    similarity: Any = "MultiScale"
    max_steps: int = 1
    changes: int = 1
    success: float = 0.95
    split: str = "train"
    scene_seed: int = 0
    instructions: Any = False

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("scene", resolve(self.scene, CanvasScene))
        put("similarity", resolve(self.similarity, Similarity))
        put("dataset", self._dataset())
        if not isinstance(self.split, str) or self.split not in SPLITS:
            raise ValueError(f"got split {self.split!r}; {nearest(self.split, SPLITS)}")
        if not isinstance(self.actions, ActionTable):
            put(
                "actions", ActionTable(self.scene.actions if self.actions is None else self.actions)
            )
        self._check_number("max_steps", 1, MOST_STEPS)
        self._check_number("changes", 1, len(self.actions))
        self._check_number("scene_seed", 0, 2**63 - 1)
        number = isinstance(self.success, (int, float)) and not isinstance(self.success, bool)
        if not number or not 0.0 < self.success <= 1.0:
            raise ValueError(f"got success={self.success!r}; wanted a number above 0, at most 1")
        self._check_room()
        self._check_instructions()

    def __reduce__(self) -> tuple[Any, ...]:
        # by the fields alone: what is cached beside them, such as the images, is found again
        return type(self), tuple(getattr(self, name) for name in self.__dataclass_fields__)

    @cached_property
    def shown_split(self) -> Split | None:
        """The split that is shown, None where the scene draws its own images."""
        return None if self.dataset is None else self.dataset.split(self.split)

    @property
    def n_images(self) -> int:
        """The number of images that can be shown."""
        split = self.shown_split
        return DRAWN_SCREENS[self.split] if split is None else len(split)

    @property
    def image_shape(self) -> ImageShape:
        """Height, width and channels of the data set's images; zeros where there is none."""
        return (0, 0, 0) if self.dataset is None else self.dataset.image_shape

    @cached_property
    def shape(self) -> ImageShape:
        """Height, width and channels of the canvas."""
        return self.scene.shape(self.image_shape)

    @cached_property
    def ranges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lowest and the highest state that is shown, float64 (7,) each."""
        return self.scene.ranges(self.image_shape)

    @cached_property
    def walls(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lowest and the highest state that actions lead to, float64 (7,) each.

        See :meth:`glimpse_envs.inverse.scenes.CanvasScene.walls`.
        """
        reach = np.zeros(len(ATTRIBUTES))
        reach[self.actions.attributes] = self.actions.largest
        return self.scene.walls(self.image_shape, reach)

    @cached_property
    def action_space(self) -> spaces.Dict:
        """A Dict of ``type`` and ``parameters``, of which each type reads its own entry."""
        n = len(self.actions)
        return spaces.Dict(
            {
                "type": spaces.Discrete(n),
                "parameters": spaces.Box(-1.0, 1.0, (n,), np.float32),
            }
        )

    @cached_property
    def sentences(self) -> Instructions | None:
        """The instructions of the split, None where the image after the action is shown."""
        if self.instructions is False:
            return None
        noun = self.scene.noun if self.instructions is True else self.instructions
        return Instructions(self.actions, noun, held_out=self.split != "train")

    @cached_property
    def observation_space(self) -> spaces.Dict:
        """A Dict of the image ``before``, and of the image ``after`` or the ``instruction``."""
        before = image_space(self.shape)
        if self.instructions is False:
            return ObservationSpace({"before": before, "after": image_space(self.shape)})
        instruction = spaces.Box(0, 255, (LENGTH,), np.uint8)
        return ObservationSpace({"before": before, "instruction": instruction})

    def _dataset(self) -> Any:
        scene = type(self.scene).__name__
        if self.scene.needs_dataset:
            if self.dataset is None:
                raise ValueError(f"got dataset=None; scene {scene} shows images of a data set")
            return load_dataset(self.dataset)
        if self.dataset is not None:
            raise ValueError(
                f"got dataset={self.dataset!r}; scene {scene} draws its own images: leave it out "
                '(dataset=None), or take scene="Objects"'
            )
        return None

    def _check_number(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not is_integer(value) or not low <= value <= high:
            raise ValueError(f"got {name}={value!r}; wanted an integer from {low} to {high:,}")

    def _check_room(self) -> None:
        """Refuse actions whose before and after cannot both be shown."""
        low, high = self.ranges
        for kind in self.actions.types:
            room = high[kind.attribute] - low[kind.attribute]
            turns = kind.attribute == ANGLE and room >= 360.0
            if kind.largest > room and not turns:
                raise ValueError(
                    f"got {type(kind).__name__} by up to {kind.largest:g} {kind.unit}, and scene "
                    f"{type(self.scene).__name__} has room for {room:.3g}; take a smaller "
                    "'largest', or give the scene a larger canvas or range"
                )

    def _check_instructions(self) -> None:
        if self.instructions is False:
            return
        if self.instructions is not True:
            check_noun(self.instructions)
        for name in ("max_steps", "changes"):
            if getattr(self, name) != 1:
                raise ValueError(
                    f"got instructions with {name}={getattr(self, name)}; wanted 1: an "
                    "instruction tells one action, and what was done of it already is not seen"
                )
        _ = self.sentences  # refuses actions that cannot be said


def make_config(**parts: Any) -> InverseConfig:
    """Return the configuration made of ``parts``, with a hint for an unknown argument."""
    known = InverseConfig.__dataclass_fields__
    for name in parts:
        if name not in known:
            raise ValueError(
                f"inverse environments have no argument {name!r}; {nearest(name, known)}"
            )
    return InverseConfig(**parts)
