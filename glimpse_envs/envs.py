"""The Gymnasium faces of the glimpse simulation: one environment, and a vector of them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.faces import LaneEnv, LaneVectorEnv


class GlimpseEnv(LaneEnv):
    """Classify an image through glimpses.

    ## Description
    An image is seen only through a small movable, zoomable window. At each step the agent looks
    somewhere or answers; it is rewarded for the right class. Source of the game: Mnih et al.,
    "Recurrent models of visual attention", NIPS 2014.

    ## Action Space
    Depends on the action scheme, for K classes:

    | scheme | space | meaning |
    |---|---|---|
    | ``GreedyMap`` | ``Discrete(6 + K)`` | left, right, up, down, zoom in, zoom out, answer k |
    | ``MultiCategorical`` | ``MultiDiscrete([9, 3, K + 1])`` | move, zoom, go on or answer |
    | ``Hybrid`` | ``Dict(decision, class, move, zoom)`` | go on or answer, class, fixation, zoom |
    | ``Saccade`` | ``Box(-1, 1, (2,))`` | next fixation; a classifier answers |
    | ``Pursuit`` | ``Box(-1, 1, (2,))`` | shift of the gaze; a classifier answers, or nobody |
    | ``Anywhere`` | ``Box(0, 1, (3,))`` | next gaze: x, y, zoom; a classifier answers |

    ``action_masks()`` tells which Discrete or MultiDiscrete actions are legal: moves and zooms that
    change something, and after the last glimpse of the budget answers only.

    ## Observation Space
    A ``Dict``; the label is never part of it.

    | key | space | meaning |
    |---|---|---|
    | ``glimpse`` | ``Box(0, 255, (S, S, C), uint8)`` | what the sensor sees (retina: (S, k S, C)) |
    | ``gaze`` | ``Box(0, 1, (3,))`` | where: x, y of the fixation, zoom (0 all, 1 finest) |
    | ``remaining`` | ``Box(0, 1, (1,))`` | unused share of the budget of glimpses |
    | ``map`` | ``Box(0, 1, (64,))`` | GreedyMap: how finely each part has been seen |
    | ``belief`` | ``Box(0, 1, (K,))`` | with a classifier: its class probabilities |
    | ``classifier_features`` | ``Box(-inf, inf, (D,))`` | if asked: its hidden vector |
    | ``glimpses`` | ``Box(0, 255, (T, S, S, C), uint8)`` | with ``observe_history``: so far |
    | ``gazes`` | ``Box(0, 1, (T, 3))`` | with ``observe_history``: where each was taken |
    | ``taken`` | ``Box(0, 1, (T,))`` | with ``observe_history``: 1 for each taken, 0 beyond |

    The space shows glimpses below 36 pixels a side in such a way that SB3's stock
    ``MultiInputPolicy`` flattens and scales them; see ``glimpse_envs.observation_space``.

    T is the budget. The last entry of ``glimpses`` and ``gazes`` that is taken is the present one;
    those beyond are zeros.

    ## Rewards
    A reward object, by default ``Terminal``: 1 for the right answer at the end, else 0.

    ## Starting State
    A random image of the split and its first glimpse, which counts: ``overview`` sees the largest
    window, ``centre``, ``random`` and ``target`` (the image on its canvas) look closely. Where a
    scene moves, each glimpse is taken of the next frame. ``reset(options={"index": i})`` shows
    image i.

    ## Episode End
    The episode is ``terminated`` (never ``truncated``) when the agent answers. After the last
    glimpse of the budget one more step is left to answer; going on ends the episode as wrong. An
    answering step takes no glimpse and repeats the last observation. Where a classifier answers,
    the step that takes the last glimpse ends the episode; so it does where nobody answers.

    ## Info
    ``label`` and ``prediction`` (-1 before any) at every step; at the end also ``samples`` (sensor
    pixels read), ``n_glimpses``, ``coverage`` (share of the image's area seen) and ``is_success``.
    Of a scene that moves also ``on_target``, the share of the glimpses that held the image's
    middle; where nobody answers, ``is_success`` is whether the last one did.
    With a sensor's ``pixels_per_degree`` also ``gaze_degrees`` (x, y from the image's middle) and
    ``saccade_degrees`` (amplitude of the last saccade) at every step.

    ## Arguments
    Those of ``GlimpseConfig``: ``dataset``, ``scene``, ``sensor``, ``scheme``, ``reward``,
    ``budget``, ``start``, ``classifier``, ``observe_classifier_features``, ``observe_history``,
    ``split``, ``scene_seed``, ``augment``; and ``render_mode="rgb_array"``.

    ## Registered Configurations
    ``Glimpse<Data>-<Scheme>-v0``; see ``glimpse_envs.registration``.

    ## Version History
    * v0: initial version
    """

    config: GlimpseConfig
    core: GlimpseCore

    def __init__(self, *, render_mode: str | None = None, **parts: Any) -> None:
        """Make the environment from the arguments of ``GlimpseConfig``.

        :raises ValueError: for parts that are unknown or do not fit together
        """
        config = make_config(**parts)
        super().__init__(config, GlimpseCore(config, n_lanes=1), render_mode)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are legal now, bool (n,), as sb3-contrib's MaskablePPO reads them.

        n is the number of actions of a Discrete space, the sum of all parts' of a MultiDiscrete.

        :raises ValueError: for schemes with other actions
        :raises gymnasium.error.ResetNeeded: before the first reset
        """
        if self.core.episodes[0] < 0:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        return self.core.action_masks()[0]


class GlimpseVectorEnv(LaneVectorEnv):
    """Many glimpse environments stepped together: what ``gymnasium.make_vec`` makes.

    Lane i behaves, bit for bit, as a ``GlimpseEnv`` seeded with ``seed + i``. A lane that ended is
    reset in the same step (``AutoresetMode.SAME_STEP``): the last observation and info of its
    episode are ``infos["final_obs"]`` and ``infos["final_info"]``.

    :param num_envs: number of lanes
    :param parts: the arguments of ``GlimpseConfig``
    """

    config: GlimpseConfig
    core: GlimpseCore

    def __init__(self, num_envs: int = 1, *, render_mode: str | None = None, **parts: Any) -> None:
        config = make_config(**parts)
        super().__init__(config, GlimpseCore(config, num_envs), render_mode)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are legal in each lane, bool (num_envs, n); see ``GlimpseEnv``."""
        if self.core.episodes[0] < 0:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        return self.core.action_masks()
