"""Texts of the user, made such that nothing refuses them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.text import readable


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cat", "cat"),
        ("$5_bill^$ \\alpha", "$5_bill^$ \\alpha"),
        ("猫 é 😀", "猫 é 😀"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "café"),
        ("\ud800x", "\ufffdx"),
        ("\u202egnp.exe\u2066", "\ufffdgnp.exe\ufffd"),
        ("a\nb\x1b[31m\0", "a\ufffdb\ufffd[31m\ufffd"),
    ],
)
def test_what_can_be_read_stays_and_the_rest_is_replaced(text: str, wanted: str) -> None:
    assert readable(text) == wanted
    assert readable(text).encode().decode() == wanted


def test_classes_and_names_of_data_can_be_read() -> None:
    images, labels = np.zeros((8, 4, 4, 1), np.uint8), np.arange(8) % 2
    data = ImageDataset.from_arrays(
        images, labels, images, labels, classes=["a\udce9", "b\n"], name="x\0"
    )
    assert data.classes == ("aé", "b\ufffd") and data.name == "x\ufffd"


def test_a_folder_with_names_in_latin_1_is_read(tmp_path: Path) -> None:
    for name in ("caf\udce9", "th\udce9"):
        (tmp_path / name).mkdir()
        for k in range(6):
            pixels = np.full((8, 8), 40 * k, np.uint8)
            with (tmp_path / name / f"{k}\udce9.png").open("wb") as file:
                Image.fromarray(pixels).save(file, "png")
    assert load_dataset(f"folder:{tmp_path}").classes == ("café", "thé")
