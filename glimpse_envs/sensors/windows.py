"""Square windows: one, or several around one fixation."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from glimpse_envs.sensors.base import _AreaSensor


@dataclass(frozen=True, repr=False)
class Crop(_AreaSensor):
    """A square window, area-averaged to ``size`` x ``size``; at zoom 1 the image's own pixels.

    The window always lies inside the image. At zoom 1 it is read at the nearest whole pixel.

    :param size: side of the glimpse, sensor pixels
    :param pixels_per_degree: see ``Sensor``
    """

    size: int = 8
    _: KW_ONLY
    pixels_per_degree: float | None = None


@dataclass(frozen=True, repr=False)
class Retina(_AreaSensor):
    """Concentric windows, each twice as wide, all averaged to ``size`` x ``size``.

    Beyond the image there are zeros. The scales lie side by side, finest first, in one image (size,
    scales * size, C). Source: the glimpse sensor of Mnih et al., "Recurrent models of visual
    attention", NIPS 2014.

    :param size: side of one scale, sensor pixels
    :param scales: number of windows
    :param pixels_per_degree: see ``Sensor``
    """

    size: int = 8
    scales: int = 3
    _: KW_ONLY
    pixels_per_degree: float | None = None
    padded = True

    @property
    def span(self) -> float:
        """Width of the widest window, in windows of the finest scale."""
        return 2.0 ** (self.scales - 1)

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        """Return (size, scales * size, channels)."""
        return (self.size, self.scales * self.size, channels)
