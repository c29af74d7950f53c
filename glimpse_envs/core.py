"""The simulation, written once, for a batch of lanes: arrays in, arrays out.

``GlimpseEnv``, ``GlimpseVectorEnv`` and ``GlimpseVecEnv`` are faces of this class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.image_sources import image_source
from glimpse_envs.lanes import Lanes, Observation, Step
from glimpse_envs.randomness import uniforms
from glimpse_envs.rewards import Outcome
from glimpse_envs.sequences import Sequences
from glimpse_envs.targets import Targets

# numbers of an episode's draws; scenes count their own from 0
_START_X, _START_Y = (1 << 40) + 1, (1 << 40) + 2


class GlimpseCore(Lanes):
    """Lanes of one environment, stepped together. Lanes that ended are reset by the caller.

    What they show is in ``source``. Where it moves, each glimpse is taken of the next frame, the
    reset's of frame 0; a lane that takes none keeps its frame. State, one row a lane: ``index``
    (image of the split) and ``labels``, int64; ``gaze``, float32 (B, 3); ``n_glimpses`` taken and
    the last ``predictions`` (-1 for none), int64; ``ended``, bool, whether the episode is over;
    ``history``, the gazes of the episode, float32 (B, budget, 3); with a classifier ``belief``,
    float32 (B, K).

    :param config: what the lanes are made of
    :param n_lanes: number of lanes
    """

    def __init__(self, config: GlimpseConfig, n_lanes: int) -> None:
        fixed = None if config.split == "train" else config.scene_seed
        super().__init__(n_lanes, len(config.shown_split), fixed)
        self.config = config
        self.geometry = config.lane_geometry(n_lanes)
        self.source = image_source(config, n_lanes)
        self._targets = Targets(config)
        self._stream = np.zeros(n_lanes, np.uint64)  # randomness of what is shown
        self.labels = np.zeros(n_lanes, np.int64)
        self.gaze = np.zeros((n_lanes, 3), np.float32)
        self.n_glimpses = np.zeros(n_lanes, np.int64)
        self.predictions = np.full(n_lanes, -1, np.int64)
        self.ended = np.zeros(n_lanes, bool)
        self.history = np.zeros((n_lanes, config.budget, 3), np.float32)
        self.memory = config.scheme.memory(n_lanes)
        unused = config.budget - np.arange(config.budget + 1)
        self._remaining = (unused / config.budget).astype(np.float32)  # by glimpses taken
        self._recorder: Callable[[Sequences], Any] | None = None
        self._seen: NDArray[np.uint8] | None = None  # what ``history`` has the gazes of
        self._allocate_seen()
        self._allocate_classifier()

    def reset(
        self,
        lanes: NDArray[np.int64],
        index: NDArray[np.int64] | None = None,
        stream: NDArray[np.uint64] | None = None,
    ) -> Observation:
        """Begin the next episode of ``lanes`` (n,), with their first glimpse taken.

        :param index: images to show, int64 (n,); None for random ones
        :param stream: randomness of each episode on the train split, uint64 (n,); None for the
            next of each lane
        :return: the first observation of these lanes, (n, ...) each
        """
        config = self.config
        if self._recorder is not None:
            self._hand_over(lanes)
        stream = self.begin(lanes, index, stream)
        index = self.index[lanes]
        self.labels[lanes] = config.shown_split.labels[index]
        self._stream[lanes] = stream
        self.source.reset(lanes, index, stream)
        self.geometry.show(lanes, index, stream)
        if config.observe_history:
            self.history[lanes] = 0.0
            self._seen[lanes] = 0
        self.n_glimpses[lanes] = 0
        self.gaze[lanes] = self._first_gaze(lanes, stream)
        self.predictions[lanes] = -1
        self.ended[lanes] = False
        for rows in self.memory.values():
            rows[lanes] = 0.0
        if config.classifier is not None:
            self._state[lanes] = config.classifier.start(len(lanes))
        glimpse = self._read(lanes, self.n_glimpses[lanes])
        self._enter(lanes, glimpse)
        return self._observe(lanes, glimpse)

    def step(self, actions: Any) -> Step:
        """Carry out one action of every lane.

        :param actions: a batch of the action space, (B, ...)
        :raises ValueError: for actions outside the action space
        """
        config = self.config
        n_classes = config.dataset.n_classes
        move = config.scheme.decode(actions, self.gaze, self.geometry, n_classes)
        took_glimpse = (move.answers < 0) & (self.n_glimpses < config.budget)
        np.copyto(self.gaze, move.gaze, where=took_glimpse[:, None])
        previous_belief = None if self.belief is None else self.belief.copy()
        # lanes that do not look have kept gaze and frame: reading again repeats their last glimpse
        glimpse = self._read(self.lanes, self.n_glimpses - ~took_glimpse)
        lanes = self.lanes if took_glimpse.all() else took_glimpse.nonzero()[0]
        self._enter(lanes, self._rows(glimpse, lanes))
        if config.scheme.answers:
            self.predictions = move.answers.copy()  # written to at the next reset
            ended = ~took_glimpse
        else:
            ended = self.n_glimpses == config.budget
        outcome = Outcome(
            self.labels,
            self.predictions,
            ended,
            took_glimpse,
            self.belief,
            previous_belief,
            self._newly_seen(took_glimpse) if config.reward.needs_newly_seen else None,
            self._targets.offsets(self._stream, self.times, self.gaze)
            if config.reward.needs_target
            else None,
        )
        reward = np.asarray(config.reward(outcome), np.float32)
        if reward.shape != ended.shape:
            raise ValueError(f"{config.reward} gives {reward.shape}; wanted one for each lane")
        self.ended = ended.copy()  # written to at the next reset
        return Step(self._observe(self.lanes, glimpse), reward, ended)

    def _newly_seen(self, took_glimpse: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return what this step's glimpses have added to the share of the image seen, (B,).

        A retina counts by its first scale, so without the sensor's span.
        """
        before = self.geometry.coverage(self.history, self.n_glimpses - took_glimpse)
        return self.geometry.coverage(self.history, self.n_glimpses) - before

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are legal in every lane, bool (B, n); see ``ActionScheme.masks``.

        :raises ValueError: for schemes whose actions are neither Discrete nor MultiDiscrete
        """
        config = self.config
        if not isinstance(config.action_space, (spaces.Discrete, spaces.MultiDiscrete)):
            raise ValueError(
                f"action scheme {type(config.scheme).__name__} has {config.action_space}; masks "
                "exist for Discrete and MultiDiscrete actions only: take GreedyMap or "
                "MultiCategorical"
            )
        last = self.n_glimpses == config.budget
        return config.scheme.masks(self.gaze, last, self.geometry, config.dataset.n_classes)

    def record(self, recorder: Callable[[Sequences], Any] | None) -> None:
        """Give the glimpses of every episode from now on to ``recorder``, when its lane is reset.

        The arrays are copies. None ends the recording.
        """
        self._recorded = np.zeros(self.n_lanes, bool)  # an episode under way is not whole
        self._recorder = recorder
        self._allocate_seen()

    def refresh(self) -> Observation:
        """Let the classifier read the running episodes anew, after it has changed.

        :return: the observation of all lanes
        :raises ValueError: without a classifier
        """
        if self.config.classifier is None:
            raise ValueError("refresh() is for environments with a classifier; attach one")
        self._state[:] = self.config.classifier.start(self.n_lanes)
        for t in range(self.n_glimpses.max()):
            lanes = (self.n_glimpses > t).nonzero()[0]
            gaze = np.ascontiguousarray(self.history[lanes, t])
            glimpse = self.source.read(lanes, gaze, np.full(len(lanes), t))
            self._classify(lanes, glimpse, gaze)
        return self.observation()

    def observation(self) -> Observation:
        """Return the observation of all lanes, the one that was returned last."""
        return self._observe(self.lanes, self._read(self.lanes, self.times))

    def lookahead(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the classifier would believe after one more glimpse, which is not taken.

        It reads pixels outside of all glimpses: for searches and baselines, not for agents.

        :param gaze: of that glimpse in each lane, float32 (B, 3)
        :return: float32 (B, K)
        :raises ValueError: without a classifier
        """
        if self.config.classifier is None:
            raise ValueError("lookahead() is for environments with a classifier; attach one")
        gaze = self.geometry.clamp(gaze)
        glimpse = self.source.read(self.lanes, gaze, self.n_glimpses)
        return self.config.classifier.update(self._state.copy(), glimpse, gaze).belief

    @property
    def times(self) -> NDArray[np.int64]:
        """Numbers of the frames that the lanes' last glimpses were taken of, from 0, int64 (B,)."""
        return np.maximum(self.n_glimpses - 1, 0)

    def infos(self) -> dict[str, NDArray]:
        """Return the true classes and the answers so far of all lanes, int64 (B,) each.

        Of a sensor that knows degrees also the fixation from the image's middle, ``gaze_degrees``
        float32 (B, 2), and the amplitude of the last saccade, ``saccade_degrees`` float32 (B,), 0
        before the first.
        """
        infos = {"label": self.labels, "prediction": self.predictions}
        scale = self.config.sensor.pixels_per_degree
        if scale is not None:
            before = self.history[self.lanes, np.maximum(self.n_glimpses - 2, 0)]
            here = self.geometry.degrees(self.gaze, scale)
            shift = here - self.geometry.degrees(before, scale)
            infos |= {"gaze_degrees": here, "saccade_degrees": np.hypot(*shift.T)}
        return infos

    def summary(self, lanes: NDArray[np.int64]) -> dict[str, list]:
        """Return what the infos say at the end of the episodes of ``lanes``, a list of n each.

        Where something moves, or nobody answers, also the share of the glimpses whose window held
        the middle of the target, ``on_target``: the first one left out, which the environment
        takes; 0 where there was no other. Where nobody answers, an episode is a success if its
        last one did.
        """
        config = self.config
        n_glimpses = self.n_glimpses[lanes]
        geometry, span = self.geometry.of(lanes), config.sensor.span
        coverage = geometry.coverage(self.history[lanes], n_glimpses, span)
        success = self.predictions[lanes] == self.labels[lanes]
        followed = {}
        if config.tracked:
            held = self._targets.held(self._stream[lanes], self.history[lanes], n_glimpses)
            chosen = held[:, 1:].sum(axis=1) / np.maximum(n_glimpses - 1, 1)
            followed["on_target"] = chosen.tolist()
            if config.nobody_answers:
                success = held[np.arange(len(lanes)), n_glimpses - 1]
        return {
            "samples": (n_glimpses * config.sensor.samples).tolist(),
            "n_glimpses": n_glimpses.tolist(),
            "coverage": coverage.tolist(),
            "is_success": success.tolist(),
            **followed,
        }

    def images(self) -> NDArray[np.uint8]:
        """Return what is shown to all lanes, uint8 (B, H, W, C)."""
        return self.source.images(self.times)

    def image(self, lane: int) -> NDArray[np.uint8]:
        """Return what is shown to a lane, uint8 (H, W, C)."""
        return self.source.image(lane, int(self.times[lane]))

    def targets(self, ahead: int | NDArray[np.int64] = 0) -> NDArray[np.int64]:
        """Return where each lane's image lies in what is shown: left, top, width, height, pixels.

        To train with and to measure by; no observation tells it.

        :param ahead: by so many frames (of each lane); 1 tells where the next glimpse finds it
        :return: int64 (B, 4)
        :raises NotImplementedError: for a scene or augmentation that does not say so
        """
        return self._targets.boxes(self._stream, self.times + ahead)

    def windows(self, lane: int) -> NDArray[np.float64]:
        """Return left, top and side of the windows of a lane's episode so far, float64 (T, 3)."""
        return self.geometry.windows(self.history[lane, : self.n_glimpses[lane]])

    def glimpse(self, lane: int) -> NDArray[np.uint8]:
        """Return a lane's current glimpse."""
        return self._read(self.lanes[lane : lane + 1], self.times[lane : lane + 1])[0]

    def draw(self, lane: int) -> NDArray[np.uint8]:
        """Return a drawing of a lane: image, windows so far, glimpse, belief, prediction; uint8."""
        # only pictures need Pillow
        from glimpse_envs.render.episode import Episode
        from glimpse_envs.render.frames import draw_frame

        earlier = [None] * (int(self.n_glimpses[lane]) - 1)  # a frame shows only what is seen now
        episode = Episode(
            image=self.image(lane),
            windows=self.windows(lane),
            glimpses=[*earlier, self.config.sensor.picture(self.glimpse(lane))],
            budget=self.config.budget,
            beliefs=None if self.belief is None else [*earlier, self.belief[lane]],
            classes=self.config.dataset.classes,
            label=int(self.labels[lane]),
            prediction=int(self.predictions[lane]),
            ended=bool(self.ended[lane]),
            span=self.config.sensor.span,
            target=self.targets()[lane] if self.config.tracked else None,
            follows=self.config.follows,
        )
        return draw_frame(episode)

    def _allocate_seen(self) -> None:
        """Make room for the glimpses of every lane's episode where someone wants them."""
        config = self.config
        if not config.observe_history and self._recorder is None:
            self._seen = None
        elif self._seen is None:
            shape = config.sensor.glimpse_shape(config.shape[2])
            self._seen = np.zeros((self.n_lanes, config.budget, *shape), np.uint8)

    def _allocate_classifier(self) -> None:
        self.belief = self.hidden = None
        classifier = self.config.classifier
        if classifier is not None:
            self._state = np.array(classifier.start(self.n_lanes))
            self.belief = np.zeros((self.n_lanes, classifier.n_classes), np.float32)
            self.hidden = np.zeros((self.n_lanes, classifier.hidden_size), np.float32)

    def _first_gaze(
        self, lanes: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> NDArray[np.float32]:
        gaze, geometry = np.full((len(stream), 3), 0.5, np.float32), self.geometry.of(lanes)
        if self.config.start == "random":
            gaze[:, 0], gaze[:, 1] = uniforms(stream, _START_X), uniforms(stream, _START_Y)
            gaze = geometry.to_frame(gaze)
        elif self.config.start == "target":
            gaze[:, :2] = self._targets.fixations(stream, self.n_glimpses[lanes])
        gaze[:, 2] = self.config.scheme.start_zoom(self.config.start)
        return geometry.clamp(gaze)

    def _read(self, lanes: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.source.read(lanes, self._rows(self.gaze, lanes), times)

    def _rows(self, state: NDArray, lanes: NDArray[np.int64]) -> NDArray:
        """Return the rows of ``lanes``; of all lanes the state itself, without a copy."""
        return state if lanes is self.lanes else state[lanes]

    def _enter(self, lanes: NDArray[np.int64], glimpse: NDArray[np.uint8]) -> None:
        """Count the glimpses (n, ...) that ``lanes`` (n,) took at their gaze, and let all know."""
        _count(lanes, self.gaze, self.n_glimpses, self.history)
        self.config.scheme.remember(self.memory, lanes, self.gaze, self.geometry)
        if self._seen is not None:
            self._seen[lanes, self.n_glimpses[lanes] - 1] = glimpse
        if self.config.classifier is not None and len(lanes):
            self._classify(lanes, glimpse, self.gaze[lanes])

    def _classify(
        self, lanes: NDArray[np.int64], glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> None:
        reading = self.config.classifier.update(self._state[lanes], glimpse, gaze)
        self._state[lanes], self.belief[lanes], self.hidden[lanes] = reading
        if not self.config.scheme.answers:
            self.predictions[lanes] = reading.belief.argmax(axis=1)

    def _hand_over(self, lanes: NDArray[np.int64]) -> None:
        """Give the recorder the episodes of ``lanes`` that it has seen from their first glimpse."""
        whole = lanes[self._recorded[lanes]]
        if len(whole):
            self._recorder(
                Sequences(
                    self._seen[whole],
                    self.history[whole],
                    self.n_glimpses[whole],
                    self.labels[whole],
                )
            )
        self._recorded[lanes] = True

    def _observe(self, lanes: NDArray[np.int64], glimpse: NDArray[np.uint8]) -> Observation:
        remaining = self._remaining[self.n_glimpses[lanes]]
        observation = {
            "glimpse": glimpse,
            "gaze": self._rows(self.gaze, lanes).copy(),
            "remaining": remaining[:, None],
        }
        for name, rows in self.memory.items():
            observation[name] = rows[lanes]
        if self.belief is not None:
            observation["belief"] = self.belief[lanes]
        if self.config.observe_classifier_features:
            observation["classifier_features"] = self.hidden[lanes]
        if self.config.observe_history:
            observation["glimpses"] = self._seen[lanes]
            observation["gazes"] = self.history[lanes]
            taken = np.arange(self.config.budget) < self.n_glimpses[lanes, None]
            observation["taken"] = taken.astype(np.float32)
        return observation


@kernel
def _count(lanes, gaze, n_glimpses, history):
    """Enter the gaze of ``lanes`` into their history."""
    for lane in lanes:
        history[lane, n_glimpses[lane]] = gaze[lane]
        n_glimpses[lane] += 1
