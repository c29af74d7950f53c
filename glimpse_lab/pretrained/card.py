"""What is known of an agent that comes with the package: ``card.json`` in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glimpse_lab.core_seconds import CoreSeconds
from glimpse_lab.evaluation.result import Subject
from glimpse_lab.evaluation.storage import read_result

FILE = "card.json"


@dataclass(frozen=True, kw_only=True)
class Card(Subject):
    """What an agent reaches as it is kept, and how it was trained.

    :param dataset_digest: of the images and labels that it was trained and measured with
    :param image_shape: (H, W, C) of an image of the data set
    :param classes: of the data set, in the order of the answers
    :param n_images: that were shown, each once
    :param accuracy: with the weights of the folder, in half precision
    :param accuracy_ci95: low and high, 95 % Wilson interval
    :param accuracy_of_run: with the weights of the training
    :param mean_glimpses: per image
    :param mean_samples: sensor pixels read per image
    :param sample_fraction: the same over the pixels of what is shown
    :param seed: of the training
    :param commit: of the code that trained
    :param command: that trains it
    :param core_seconds: that the training took; None where that is not known
    :param note: on the data, in words
    """

    dataset_digest: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    n_images: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    accuracy_of_run: float
    mean_glimpses: float
    mean_samples: float
    sample_fraction: float
    seed: int
    commit: str | None
    command: str
    core_seconds: CoreSeconds | None = None
    note: str | None = None


def read_card(folder: Path) -> Card:
    """Read the card of an agent's folder."""
    return read_result(folder / FILE, Card)


def summary_of(folder: Path) -> str:
    """Return in two lines what the card of an agent's folder says."""
    card = read_card(folder)
    low, high = (100 * bound for bound in card.accuracy_ci95)
    note = f" ({card.note})" if card.note else ""
    return (
        f"{folder.name}, by its card: {100 * card.accuracy:.2f} % ({low:.2f} to {high:.2f}) with "
        f"{card.mean_glimpses:.2f} glimpses on {card.n_images} {card.split} images of "
        f"{card.dataset}{note}\ntrained by {card.command} at commit {card.commit or 'unknown'}"
    )
