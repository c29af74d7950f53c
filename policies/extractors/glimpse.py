"""Features extractors for observations of glimpse environments."""

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import TensorDict
from torch import nn

from policies.extractors.layers import BypassLayout, FourierFeatures, GlimpseEncoder
from policies.ranges import checks_arguments

NEEDED = {"glimpse", "gaze", "remaining"}
"""Keys that an observation must have; any other holds a vector: ``map``, ``belief``,
``classifier_features``, ..."""

HISTORY = {"glimpses", "gazes", "taken"}
"""Keys of the glimpses so far, where they were, and which of them there are."""

_N_DIMS = {"glimpse": 3, "glimpses": 4, "gazes": 2}


def glimpse_is_channels_first(space: spaces.Box) -> bool:
    """Whether a glimpse space is (C, H, W), as SB3's ``VecTransposeImage`` leaves it, or (H, W, C).

    A glimpse is as wide as high, or a whole number of such squares side by side: width is a
    multiple of height. Where that leaves one reading, it is the answer. Where both are possible
    SB3's guess decides, but for one thing: a tie of the first two dimensions, as in (8, 8, 9),
    makes SB3 *believe* in channels first and therefore leave the channels last.

    :param space: Box of three dimensions
    """
    first, second, third = space.shape
    last_fits, first_fits = second % first == 0, third % second == 0
    if last_fits != first_fits:
        return first_fits
    return first != second and is_image_space_channels_first(space)


def picture_shape(observation_space: spaces.Space) -> tuple[int, int, int]:
    """Channels, height and width of a glimpse.

    :param observation_space: of a glimpse environment
    :raises ValueError: for another space
    """
    _check_space(observation_space)
    space = observation_space["glimpse"]
    if glimpse_is_channels_first(space):
        return space.shape
    height, width, channels = space.shape
    return channels, height, width


class GlimpseFeatures(BaseFeaturesExtractor):
    """What the extractors of this package share.

    They read a glimpse observation, and lead the bypass columns around the memory.

    Output, float32 (B, features_dim): the first ``encoded_dim`` columns are for the memory, the
    last ``bypass_dim`` are laid out as :class:`~policies.extractors.layers.BypassLayout` (attribute
    ``bypass``) tells.

    :param observation_space: Dict of ``glimpse`` uint8 (S, k * S, C) or transposed by SB3,
        ``gaze`` float32 (3,), ``remaining`` float32 (1,), and any other float32 vectors, such as
        ``map``, ``belief`` and ``classifier_features``; with a history ``glimpses``, ``gazes`` and
        ``taken``
    :param encoded_dim: size of what is for the memory
    :param normalize_images: whether SB3 divides images by 255 before they come here; the policies
        of this package pass their own setting. Glimpses reach the encoder in [0, 1] either way.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        encoded_dim: int,
        normalize_images: bool = True,
    ) -> None:
        shape = picture_shape(observation_space)
        has_belief = "belief" in observation_space.keys()
        bypass = BypassLayout(observation_space["belief"].shape[0] if has_belief else 0)
        super().__init__(observation_space, features_dim=encoded_dim + bypass.dim)
        self.bypass = bypass
        self.bypass_dim = bypass.dim

        glimpse_space = observation_space["glimpse"]
        self.channels_first = glimpse_is_channels_first(glimpse_space)
        self.glimpse_scale = _glimpse_scale(glimpse_space, normalize_images)
        self.glimpse_shape = shape
        #: what was seen before (map, belief, classifier features), by name
        self.vector_keys = sorted(
            set(observation_space.keys()) - NEEDED - HISTORY,
            key=lambda key: (key == "classifier_features", key),
        )
        self.n_vector = sum(observation_space[key].shape[0] for key in self.vector_keys)
        self.has_history = "glimpses" in observation_space.keys()

    def glimpse(self, observations: TensorDict) -> th.Tensor:
        """Return the glimpse in [0, 1], float32 (B, C, H, W).

        :param observations: by key
        """
        glimpse = observations["glimpse"] * self.glimpse_scale
        # (B, H, W, C) -> (B, C, H, W)
        return glimpse if self.channels_first else glimpse.permute(0, 3, 1, 2)

    def history(self, observations: TensorDict) -> th.Tensor:
        """Return the glimpses so far in [0, 1], float32 (B, T, C, H, W).

        :param observations: by key
        """
        return observations["glimpses"].permute(0, 1, 4, 2, 3) / 255.0

    def vectors(self, observations: TensorDict) -> list[th.Tensor]:
        """Return what was seen before, float32 (B, n) each."""
        return [observations[key] for key in self.vector_keys]

    def beside(self, encoded: th.Tensor, observations: TensorDict) -> th.Tensor:
        """Return float32 (B, features_dim), the bypass columns behind.

        :param encoded: float32 (B, encoded_dim)
        :param observations: by key
        """
        bypass = self.bypass.make(observations["remaining"], observations.get("belief"))
        return th.cat([encoded, bypass], dim=1)


class GlimpseExtractor(GlimpseFeatures):
    """What a glimpse shows joined with where it was.

    :param observation_space: see :class:`GlimpseFeatures`; without a history
    :param encoded_dim: size of the joined code of what and where
    :param encoder: ``"cnn"``, ``"mlp"`` (much faster on a CPU), ``"scales"`` (for a retina that has
        to find something) or a backbone by name, see
        :class:`~policies.extractors.layers.GlimpseEncoder`; ``"none"`` leaves the glimpse out, for
        an agent that sees through a classifier's features alone
    :param glimpse_dim: size of the code of what
    :param where_dim: size of the code of where
    :param n_frequencies: octaves of the Fourier features of the gaze; 0 for the gaze as it is, None
        to leave it out
    :param freeze_encoder: leave a pretrained backbone as it is, and train its last layer alone
    :param normalize_images: see :class:`GlimpseFeatures`
    """

    @checks_arguments
    def __init__(
        self,
        observation_space: spaces.Dict,
        encoded_dim: int = 128,
        encoder: str = "cnn",
        glimpse_dim: int = 128,
        where_dim: int = 64,
        n_frequencies: int | None = 4,
        freeze_encoder: bool = False,
        normalize_images: bool = True,
    ) -> None:
        super().__init__(observation_space, encoded_dim, normalize_images)
        if self.has_history:
            raise ValueError(
                "the observation holds a history, which GlimpseExtractor does not read; use "
                "policies.ViTExtractor, or make the environment without observe_history"
            )
        self.what: GlimpseEncoder | None = None
        if encoder != "none":
            self.what = GlimpseEncoder(*self.glimpse_shape, glimpse_dim, encoder, freeze_encoder)
        self.fourier = FourierFeatures(3, n_frequencies)
        self.where = nn.Sequential(nn.Linear(self.fourier.output_dim + 1, where_dim), nn.ReLU())
        seen_dim = 0 if self.what is None else glimpse_dim
        self.join = nn.Sequential(
            nn.Linear(seen_dim + where_dim + self.n_vector, encoded_dim), nn.ReLU()
        )

    def forward(self, observations: TensorDict) -> th.Tensor:
        """Return float32 (B, features_dim).

        :param observations: float32 tensors by key, each (B, *shape of its space)
        """
        place = th.cat([self.fourier(observations["gaze"]), observations["remaining"]], dim=1)
        parts = [self.where(place), *self.vectors(observations)]
        if self.what is not None:
            parts.append(self.what(self.glimpse(observations)))
        return self.beside(self.join(th.cat(parts, dim=1)), observations)


def _glimpse_scale(space: spaces.Box, normalize_images: bool) -> float:
    """Factor that brings what SB3 hands over into [0, 1]."""
    if normalize_images and is_image_space(space):
        return 1.0  # preprocess_obs has divided by 255
    high = float(space.high.max())
    # An unbounded glimpse has been normalised by a wrapper and is taken as it is
    return 1.0 / high if 0.0 < high < float("inf") else 1.0


def _check_space(space: spaces.Space) -> None:
    """Raise a ValueError for an observation space that is not one of glimpses."""
    if not isinstance(space, spaces.Dict):
        raise ValueError(
            f"the observation space is {space}, wanted a Dict with 'glimpse', 'gaze' and "
            "'remaining'; make a glimpse environment, or choose another features extractor"
        )
    missing = NEEDED - set(space.keys())
    if missing:
        raise ValueError(
            f"the observation space has {sorted(space.keys())}, wanted {sorted(NEEDED)} and any "
            f"other vectors; missing {sorted(missing)}: wrap the environment, or subclass "
            "GlimpseExtractor"
        )
    for key, subspace in space.spaces.items():
        n_dims = _N_DIMS.get(key, 1)
        if not isinstance(subspace, spaces.Box) or len(subspace.shape) != n_dims:
            raise ValueError(
                f"observation {key!r} is {subspace}, wanted a Box of {n_dims} dimension(s); "
                "reshape it in a wrapper"
            )
    if HISTORY & set(space.keys()) not in (set(), HISTORY):
        raise ValueError(
            f"the observation space has {sorted(space.keys())}; a history needs all of "
            f"{sorted(HISTORY)}: make the environment with observe_history=True"
        )
    for key, size in (("gaze", 3), ("remaining", 1)):
        if space[key].shape != (size,):
            raise ValueError(
                f"observation {key!r} has shape {space[key].shape}, wanted ({size},); for several "
                "glimpses at once take no frame stack but observe_history=True"
            )
