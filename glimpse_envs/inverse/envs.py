"""The Gymnasium faces of inverse action modelling: one environment, and a vector of them."""

from __future__ import annotations

from typing import Any

from glimpse_envs.faces import LaneEnv, LaneVectorEnv
from glimpse_envs.inverse.config import InverseConfig, make_config
from glimpse_envs.inverse.core import InverseCore


class InverseEnv(LaneEnv):
    """Tell which action turned one image into another, and by how much.

    ## Description
    An object lies on a canvas, at a random place, turn, size and brightness. A parameterised
    action has changed it. Seen are the canvas before and after; an agent tells the type of the
    action and its parameter, and is rewarded by how well what it tells, done to the canvas before,
    gives the one after. Source: Dyachkov, Levin and Kudashov, "Siamese visual transformer with
    cross-attention for inverse action modelling in a visual environment".

    ## Action Space
    ``Dict(type, parameters)``: ``type`` is ``Discrete(K)``, ``parameters`` ``Box(-1, 1, (K,))``
    with an entry for each type, of which that of ``type`` is read; 1 stands for the largest
    parameter of the type. The types of objects: move x, move y, rotate, scale, brighten; of the
    GUI: move x, move y, scale, brighten (the panel), cursor x, cursor y.

    ## Observation Space
    A ``Dict`` of two images, ``before`` and ``after``, ``Box(0, 255, (H, W, C), uint8)`` each. With
    ``instructions`` the action is told in words in the place of ``after``: ``instruction``,
    ``Box(0, 255, (80,), uint8)``, is an English sentence in UTF-8, padded with zeros
    (:func:`glimpse_envs.inverse.instructions.decode` gives the text).

    ## Rewards
    The similarity of the action, applied to ``before``, with ``after``: 0 for doing nothing, 1 for
    the exact action, negative where it leads away; in [-1, 1]. With several steps, what each adds
    to it. See :class:`glimpse_envs.inverse.similarity.Similarity`.

    ## Starting State
    A random image of the split, a random state of the object and an action drawn uniformly from
    all types, of a size uniform between its smallest and its largest. ``reset(options={"index":
    i})`` shows image i.

    ## Episode End
    The episode is ``terminated`` (never ``truncated``) after ``max_steps`` actions, by default
    one, or as soon as the similarity is at least ``success``. With several steps ``before`` is the
    canvas as the actions so far have left it; ``after`` stays.

    ## Info
    ``similarity``, ``true_type`` and ``true_parameters`` ((K,), normalised, 0 for all types but
    those that were taken) at every step; at the end also ``n_steps`` and ``is_success``. With
    ``instructions`` also ``new_wording``, ``new_word`` (the one that tells the type) and
    ``new_value``, whether the train split has no such instructions.

    ## Arguments
    Those of ``InverseConfig``: ``dataset``, ``scene``, ``actions``, ``similarity``, ``max_steps``,
    ``changes``, ``success``, ``split``, ``scene_seed``, ``instructions``; and
    ``render_mode="rgb_array"``.

    ## Registered Configurations
    ``GlimpseInverse<Data>-v0`` for Digits, MNIST, CIFAR, GUI, and with instructions
    ``GlimpseInstructed<Data>-v0``; see ``glimpse_envs.registration``.

    ## Version History
    * v0: initial version
    """

    config: InverseConfig
    core: InverseCore

    def __init__(self, *, render_mode: str | None = None, **parts: Any) -> None:
        """Make the environment from the arguments of ``InverseConfig``.

        :raises ValueError: for parts that are unknown or do not fit together
        """
        config = make_config(**parts)
        super().__init__(config, InverseCore(config, n_lanes=1), render_mode)


class InverseVectorEnv(LaneVectorEnv):
    """Many inverse environments stepped together: what ``gymnasium.make_vec`` makes.

    Lane i shows, bit for bit, what an ``InverseEnv`` seeded with ``seed + i`` shows; rewards agree
    up to rounding. A lane that ended is reset in the same step (``AutoresetMode.SAME_STEP``): the
    last observation and info of its episode are ``infos["final_obs"]`` and ``infos["final_info"]``.

    :param num_envs: number of lanes
    :param parts: the arguments of ``InverseConfig``
    """

    config: InverseConfig
    core: InverseCore

    def __init__(self, num_envs: int = 1, *, render_mode: str | None = None, **parts: Any) -> None:
        config = make_config(**parts)
        super().__init__(config, InverseCore(config, num_envs), render_mode)
