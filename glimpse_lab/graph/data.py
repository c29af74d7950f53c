"""Where images come from, and what is cropped out of them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from glimpse_envs.actions import Saccade
from glimpse_envs.components import resolve
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.image_sources import ImageSource, image_source
from glimpse_envs.randomness import episode_keys
from glimpse_envs.sensors import Crop, Sensor
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.module import Episode, Module
from glimpse_lab.graph.ports import Input, Output

if TYPE_CHECKING:
    from glimpse_lab.graph.graph import Graph

ORDERS = ("stored", "random")


class Database(Module):
    """Images and their labels, one of each for every lane; others whenever it runs.

    :param dataset: as environments take it: a name, "folder:PATH", or an ``ImageDataset``
    :param scene: what is shown of an image, such as "Plain"
    :param augment: what varies the images of the train split, such as "ShiftFlip"
    :param order: "stored", so that the n-th run shows the n-th image (with several lanes the n-th
        batch), or "random", as the registered environments show them
    :param split: "train", "validation" or "test"
    """

    img = Output(np.ndarray)
    label = Output((np.ndarray, (), np.int64), secret=True)

    def __init__(
        self,
        dataset: Any = "mnist",
        *,
        scene: Any = "Plain",
        augment: Any = None,
        order: str = "stored",
        split: str = "train",
    ) -> None:
        if order not in ORDERS:
            raise GraphError(f"got Database(order={order!r}); wanted one of {', '.join(ORDERS)}")
        self.order = order
        self.show(GlimpseConfig(dataset=dataset, scene=scene, augment=augment, split=split))

    def show(self, config: GlimpseConfig) -> None:
        """Show other images, such as those of another split.

        :param config: an environment's, whose data set, scene, augmentation and split are shown
        """
        if config.scene.moves:
            raise GraphError(
                f"got the scene {config.scene}, which moves, and a Database shows one image an "
                "episode; wanted a scene that stands still"
            )
        if config.extents is not None:
            raise GraphError(
                "got images that keep their proportions in frames (fit: keep), which a Database "
                "does not tell croppers; wanted fit: crop or letterbox"
            )
        self.config = config
        self[":img"] = np.ndarray, config.shape, np.uint8
        self._source: ImageSource | None = None
        self._n_lanes = 0

    @property
    def n_images(self) -> int:
        """The number of images in the split."""
        return len(self.config.shown_split)

    @property
    def fixed_scene_seed(self) -> int | None:
        """What fixes the scenes of images that are not trained on; None for the train split."""
        return None if self.config.split == "train" else self.config.scene_seed

    def bind(self, graph: Graph) -> None:
        """Check that an episode shows one image."""
        runs = sum(visit.runs for visit in graph.loop.visits() if self in visit.module.parts())
        if runs > 1:
            raise GraphError(
                f"module {self.name} runs {runs} times in an episode, which shows one image; put "
                "it before the inner Loop, and leave nb=1 for the outermost: each pass through "
                "that is an episode"
            )

    def reads(self, output: str) -> Iterable[str]:
        """Return no ports: images do not tell their labels."""
        return []

    def begin(self, episode: Episode) -> None:
        """Forget the episode before, with its images."""
        super().begin(episode)
        self["img"] = self["label"] = None

    def run(self) -> None:
        """Show the episode's images."""
        if self.episode is None or self["img"] is not None:  # run by hand, or again
            self.episode = Episode(1, 0 if self.episode is None else self.episode.number + 1)
        n, number, index, stream = vars(self.episode).values()
        lanes = np.arange(n)
        if index is None:
            index = (number * n + lanes) % self.n_images
        if stream is None:
            stream = episode_keys(np.zeros(n, np.uint64), number * n + lanes)
        if self._source is None or self._n_lanes != n:
            self._source, self._n_lanes = image_source(self.config, n), n
        self._source.reset(lanes, index, stream)
        self["img"] = self._source.images(np.zeros(n, np.int64)).copy()
        self["label"] = self.config.shown_split.labels[index].astype(np.int64)

    def __deepcopy__(self, memo: dict[int, Any]) -> Database:
        database = memo[id(self)] = object.__new__(type(self))
        vars(database).update(vars(self), _source=None)  # the images are shared
        database._ports = copy.deepcopy(self._ports, memo)
        return database


class Cropper(Module):
    """The window of ``img`` whose centre is ``x``, ``y``; both in [0, 1], and 0.5 if not connected.

    Windows stay inside the image: ``gaze`` tells where the crop was taken, as x, y and zoom.

    :param sensor: side of the crop, pixels, or a sensor of ``glimpse_envs`` as object, name or dict
    :param zoom: of every crop, from 0 (the largest window) to 1 (the image's own pixels)
    """

    img = Input(np.ndarray)
    x = Input((np.ndarray, ()), optional=True)
    y = Input((np.ndarray, ()), optional=True)
    output = Output(np.ndarray)
    gaze = Output((np.ndarray, (3,), np.float32))

    def __init__(self, sensor: Any = 9, *, zoom: float = 1.0) -> None:
        if isinstance(sensor, (int, np.integer)):
            sensor = Crop(int(sensor))
        self.sensor = resolve(sensor, Sensor)
        self.zoom = Saccade(zoom).zoom  # which checks it

    def run(self) -> None:
        """Crop all lanes' images."""
        img = self["img"]
        if img is None or img.ndim != 4:
            came = "nothing" if img is None else f"an array of shape {img.shape}"
            raise GraphError(
                f"module {self.name}: port img received {came}; wanted images uint8 (B, H, W, C): "
                "run the Database before it"
            )
        target = np.full((len(img), 3), 0.5, np.float32)
        target[:, 2] = self.zoom
        for column, name in enumerate(("x", "y")):
            if self[name] is not None:
                target[:, column] = self[name]
        gaze = self.sensor.geometry(*img.shape[1:3]).clamp(target)
        self["gaze"] = gaze
        self["output"] = self.sensor.read(img, np.arange(len(img)), gaze)
