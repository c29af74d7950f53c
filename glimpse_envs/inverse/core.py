"""The simulation, written once, for a batch of lanes: arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from glimpse_envs.actions.checks import integers, reals
from glimpse_envs.inverse.actions import ANGLE, ATTRIBUTES
from glimpse_envs.inverse.canvas import Layers, as_bytes
from glimpse_envs.inverse.config import InverseConfig
from glimpse_envs.inverse.instructions import LENGTH, decode
from glimpse_envs.lanes import Lanes, Observation, Step
from glimpse_envs.randomness import uniforms

# numbers of an episode's draws; scenes have those below 2^40
_TYPE, _SIZE, _SIGN, _STATE = ((1 << 41) + 100 * i for i in range(4))

_PIXELS_AT_ONCE = 1 << 18
"""Of the canvases that are scored together: as much as stays in a processor's cache."""

_PIXELS_AT_ONCE_ELSEWHERE = 1 << 27
"""The same on other devices: some gigabytes."""


class InverseCore(Lanes):
    """Lanes of one environment, stepped together. Lanes that ended are reset by the caller.

    State, one row a lane: ``state`` and ``target``, of the canvas and of what it should become,
    float64 (B, 7), see :data:`glimpse_envs.inverse.actions.ATTRIBUTES`; ``before``, ``after`` and
    ``first``, the images of the canvas, of the target and of the canvas at the start, uint8
    (B, H, W, C); ``similarity`` of canvas and target, float32 (B,); ``true_types``, of the action
    between them at the start (of several, the one drawn first), int64 (B,); ``true_parameters``,
    those actions' parameters, 0 for types that were not taken, float32 (B, K); ``n_steps``, int64;
    ``ended``, bool; ``last``, the last action's type (-1 for none) and parameter, float64 (B, 2).
    Where the action is told in words: ``instruction``, uint8 (B, L), and whether its wording, the
    word that tells the type, and its value are held out of the train split, ``new_wording``,
    ``new_word`` and ``new_value``, bool.

    :param config: what the lanes are made of
    :param n_lanes: number of lanes
    """

    def __init__(self, config: InverseConfig, n_lanes: int) -> None:
        super().__init__(
            n_lanes, config.n_images, None if config.split == "train" else config.scene_seed
        )
        self.config = config
        self.canvas = config.scene.canvas(config.image_shape)
        n_types = len(config.actions)
        self.state = np.zeros((n_lanes, len(ATTRIBUTES)))
        self.target = np.zeros_like(self.state)
        self.before = np.zeros((n_lanes, *config.shape), np.uint8)
        self.after, self.first = np.zeros_like(self.before), np.zeros_like(self.before)
        self.similarity = np.zeros(n_lanes, np.float32)
        self.true_types = np.zeros(n_lanes, np.int64)
        self.true_parameters = np.zeros((n_lanes, n_types), np.float32)
        self.n_steps = np.zeros(n_lanes, np.int64)
        self.ended = np.zeros(n_lanes, bool)
        self.last = np.zeros((n_lanes, 2))
        self.instruction = np.zeros((n_lanes, LENGTH), np.uint8)
        self.new_wording, self.new_word = np.zeros(n_lanes, bool), np.zeros(n_lanes, bool)
        self.new_value = np.zeros(n_lanes, bool)
        self._layers: Layers | None = None
        # what is compared of the canvases and of the targets: (B, D) each
        self._features: tuple[torch.Tensor, ...] = ()
        self._target_features: tuple[torch.Tensor, ...] = ()
        # distances of the canvases to the targets, now and at the start, (B, L)
        self._distances = self._reference = torch.zeros(0)

    @torch.no_grad()
    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64] | None = None
    ) -> Observation:
        """Begin the next episode of ``lanes`` (n,), and return their first observation.

        :param index: images to show, int64 (n,); None for random ones
        """
        config = self.config
        stream = self.begin(lanes, index)
        layers = config.scene.layers(config.shown_split, self.index[lanes], stream)
        self._draw_episodes(lanes, stream)
        canvases = self.canvas.draw(self.state[lanes], layers)
        targets = self.canvas.draw(self.target[lanes], layers)
        self.before[lanes] = self.first[lanes] = as_bytes(canvases)
        self.after[lanes] = as_bytes(targets)
        features = config.similarity.features(canvases)
        target_features = config.similarity.features(targets)
        distances = config.similarity.distances(features, target_features)
        if self._layers is None:
            self._allocate(layers, features, distances)
        rows = torch.from_numpy(lanes)
        self._layers.put(rows, layers)
        for mine, new in zip(self._features, features, strict=True):
            mine[rows] = new
        for mine, new in zip(self._target_features, target_features, strict=True):
            mine[rows] = new
        self._distances[rows] = distances
        self._reference[rows] = distances
        self.similarity[lanes] = 0.0
        self.n_steps[lanes] = 0
        self.ended[lanes] = False
        self.last[lanes] = -1.0, 0.0
        return self._observe(lanes)

    @torch.no_grad()
    def step(self, actions: Any) -> Step:
        """Carry out one action of every lane.

        :param actions: a dict of ``type``, integers (B,), and ``parameters``, (B, K) in [-1, 1]
        :raises ValueError: for actions outside the action space, NaN included
        """
        config = self.config
        types, parameters = self._decode(actions)
        self.state = self._moved(self.state, types, parameters)
        canvases = self.canvas.draw(self.state, self._layers)
        self.before = as_bytes(canvases)
        self._features = config.similarity.features(canvases)
        self._distances = config.similarity.distances(self._features, self._target_features)
        similarity = config.similarity.relative(self._distances, self._reference).numpy()
        reward = similarity - self.similarity
        self.similarity = similarity
        self.last = np.stack([types, parameters], axis=1)
        self.n_steps += 1
        ended = (self.n_steps >= config.max_steps) | (similarity >= config.success)
        self.ended = ended.copy()  # written to at the next reset
        return Step(self._observe(self.lanes), reward, ended)

    @torch.no_grad()
    def score(
        self,
        types: Any,
        parameters: Any,
        *,
        reverse: bool = False,
        device: torch.device | str = "cpu",
    ) -> NDArray[np.float32]:
        """Return what N actions would earn in every lane now; none of them is carried out.

        It looks at the targets: for training, not for agents.

        :param types: integers (B, N), in 0 ... K - 1
        :param parameters: of these types, normalised, (B, N) in [-1, 1]
        :param reverse: score the way back: actions on the target that should give the canvas
        :param device: of PyTorch's, which draws and compares the canvases
        :return: rewards as of :meth:`step`, up to rounding, float32 (B, N)
        :raises ValueError: for types and parameters out of range, NaN included
        :raises gymnasium.error.ResetNeeded: before the first reset
        """
        if self._layers is None:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        shape = np.shape(types)
        if len(shape) != 2 or shape[0] != self.n_lanes:
            raise ValueError(
                f"got types of shape {shape}; wanted (B, N) with B = {self.n_lanes} lanes"
            )
        types = integers(types, shape, len(self.config.actions), "types").ravel()
        parameters = reals(parameters, shape, -1.0, "parameters").ravel()
        n = shape[1]
        start, goal, reference = (
            (self.target, self._features, self._distances)
            if reverse
            else (self.state, self._target_features, self._reference)
        )
        layers = self._layers.to(device)
        goal, reference = tuple(part.to(device) for part in goal), reference.to(device)
        height, width, channels = self.config.shape
        on_cpu = reference.device.type == "cpu"
        most = _PIXELS_AT_ONCE if on_cpu else _PIXELS_AT_ONCE_ELSEWHERE
        at_once = max(1, most // (height * width * channels))
        similarity = np.empty(len(types), np.float32)
        for first in range(0, len(types), at_once):
            part = slice(first, min(first + at_once, len(types)))
            lanes = np.arange(part.start, part.stop) // n
            rows = torch.from_numpy(lanes).to(device)
            states = self._moved(start[lanes], types[part], parameters[part])
            canvases = self.canvas.draw(states, layers.rows(rows))
            features = self.config.similarity.features(canvases)
            distances = self.config.similarity.distances(features, tuple(g[rows] for g in goal))
            relative = self.config.similarity.relative(distances, reference[rows])
            similarity[part] = relative.cpu().numpy()
        similarity = similarity.reshape(shape)
        return similarity if reverse else similarity - self.similarity[:, None]

    def remaining(self) -> NDArray[np.float64]:
        """Return the normalised parameters of all types that lead from canvas to target, (B, K)."""
        return self.config.actions.between(self.state, self.target)

    def infos(self) -> dict[str, NDArray]:
        """Return the similarity now and the actions that were to be found, (B, ...) each."""
        told = {
            "similarity": self.similarity,
            "true_type": self.true_types,
            "true_parameters": self.true_parameters,
        }
        if self.config.sentences is None:
            return told
        return told | {
            "new_wording": self.new_wording,
            "new_word": self.new_word,
            "new_value": self.new_value,
        }

    def summary(self, lanes: NDArray[np.int64]) -> dict[str, list]:
        """Return what the infos say at the end of the episodes of ``lanes``, a list of n each."""
        return {
            "n_steps": self.n_steps[lanes].tolist(),
            "is_success": (self.similarity[lanes] >= self.config.success).tolist(),
        }

    def draw(self, lane: int) -> NDArray[np.uint8]:
        """Return a drawing of a lane: before, after, and what the actions so far have made."""
        from glimpse_envs.inverse.frames import draw_frame  # only pictures need Pillow

        kind, parameter = self.last[lane]
        done = "" if kind < 0 else self.config.actions.describe(int(kind), parameter)
        return draw_frame(
            self.first[lane],
            self.after[lane],
            None if kind < 0 else self.before[lane],
            done,
            float(self.similarity[lane]),
            "" if self.config.sentences is None else decode(self.instruction[lane]),
        )

    def _draw_episodes(self, lanes: NDArray[np.int64], stream: NDArray[np.uint64]) -> None:
        """Draw actions, and states that lie in the ranges before and after them."""
        table = self.config.actions

        def drawn(number: int, n: int) -> NDArray[np.float32]:
            return np.stack([uniforms(stream, number + i) for i in range(n)], axis=1)

        order = drawn(_TYPE, len(table)).argsort(axis=1)
        least = table.smallest / table.largest
        sizes = (least + (1.0 - least) * drawn(_SIZE, len(table))).astype(np.float32)
        sizes *= np.where(drawn(_SIGN, len(table)) < 0.5, np.float32(-1.0), np.float32(1.0))
        parameters = np.zeros_like(sizes)
        chosen = order[:, : self.config.changes]
        if self.config.sentences is not None:
            self._say(lanes, order[:, 0], sizes, stream)
        np.put_along_axis(parameters, chosen, np.take_along_axis(sizes, chosen, 1), 1)
        change = np.zeros((len(lanes), len(ATTRIBUTES)))
        change[:, table.attributes] = table.largest * parameters.astype(np.float64)
        low, high = self.config.ranges
        room = np.where(high[ANGLE] - low[ANGLE] >= 360.0, 0.0, change[:, ANGLE])
        kept = change.copy()
        kept[:, ANGLE] = room  # every angle is shown
        lowest, highest = low - np.minimum(kept, 0.0), high - np.maximum(kept, 0.0)
        state = lowest + (highest - lowest) * drawn(_STATE, len(ATTRIBUTES))
        self.state[lanes], self.target[lanes] = state, state + change
        self.true_types[lanes], self.true_parameters[lanes] = order[:, 0], parameters

    def _say(
        self,
        lanes: NDArray[np.int64],
        types: NDArray[np.int64],
        sizes: NDArray[np.float32],
        stream: NDArray[np.uint64],
    ) -> None:
        """Draw instructions, and round what they tell to what they say, in place.

        :param lanes: int64 (n,)
        :param types: that are told, int64 (n,)
        :param sizes: normalised parameters of all types, float32 (n, K)
        :param stream: uint64 (n,)
        """
        sentences, each = self.config.sentences, np.arange(len(lanes))
        rows = sentences.nearest(types, sizes[each, types])
        sizes[each, types] = sentences.parameters[rows]
        said = sentences.say(rows, stream)
        self.instruction[lanes], self.new_wording[lanes], self.new_word[lanes] = said
        self.new_value[lanes] = sentences.new_values[rows]

    def _decode(self, actions: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the type of every lane's action and its own parameter, (B,) each."""
        n, n_types = self.n_lanes, len(self.config.actions)
        if not isinstance(actions, dict) or set(actions) != {"type", "parameters"}:
            raise ValueError(f"got action {actions!r}; wanted a dict of 'type' and 'parameters'")
        types = integers(actions["type"], (n,), n_types, "type")
        parameters = reals(actions["parameters"], (n, n_types), -1.0, "parameters")
        return types, parameters[self.lanes, types]

    def _moved(
        self,
        state: NDArray[np.float64],
        types: NDArray[np.int64],
        parameters: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return states (n, 7) after an action each, within the walls."""
        return np.clip(self.config.actions.apply(state, types, parameters), *self.config.walls)

    def _allocate(
        self, layers: Layers, features: tuple[torch.Tensor, ...], distances: torch.Tensor
    ) -> None:
        """Make room for all lanes, as much as the first of them need."""
        n = self.n_lanes

        def room(rows: torch.Tensor) -> torch.Tensor:
            return torch.zeros(n, *rows.shape[1:])

        grounds = layers.backgrounds
        self._layers = Layers(room(layers.pictures), None if grounds is None else room(grounds))
        self._features = tuple(room(part) for part in features)
        self._target_features = tuple(room(part) for part in features)
        self._distances, self._reference = room(distances), room(distances)

    def _observe(self, lanes: NDArray[np.int64]) -> Observation:
        if self.config.sentences is not None:
            return {"before": self.before[lanes], "instruction": self.instruction[lanes]}
        return {"before": self.before[lanes], "after": self.after[lanes]}
