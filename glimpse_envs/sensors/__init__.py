"""Sensors: image and gaze in, glimpse out.

Every pixel of a glimpse is the exact average of a square of the image, whatever the zoom, without
aliasing: see ``area_averages`` and ``box_averages``.
"""

from glimpse_envs.sensors.base import MOST_SCALES, Sensor
from glimpse_envs.sensors.fields import Foveated, Lattice
from glimpse_envs.sensors.windows import Crop, Retina

__all__ = ["MOST_SCALES", "Crop", "Foveated", "Lattice", "Retina", "Sensor"]
