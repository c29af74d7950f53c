"""What lies in an image folder: which files are read, what becomes of them, what is said."""

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from glimpse_envs.data import pictures
from glimpse_envs.data.datasets import DatasetError, ImageDataset
from glimpse_envs.data.folders import load_folder
from glimpse_envs.data.loaders import load_dataset

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, image: np.ndarray | Image.Image, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return path


def fill(root: Path, make: Callable[[], np.ndarray | Image.Image], suffix: str = ".png") -> Path:
    """Write four images of each of two classes."""
    for name in "ab":
        for i in range(4):
            save(root / name / f"{i}{suffix}", make())
    return root


def pixels(data: ImageDataset) -> np.ndarray:
    return np.concatenate([data.train.images, data.validation.images, data.test.images])


# ---- transparency ----


def drawing(mode: str) -> Image.Image:
    """A black square on transparent ground."""
    rgba = np.zeros((12, 12, 4), np.uint8)
    rgba[4:8, 4:8, 3] = 255
    return Image.fromarray(rgba).convert(mode)


@pytest.mark.parametrize(
    ("suffix", "mode"),  # WebP has no grey images
    [(".png", "RGBA"), (".png", "LA"), (".webp", "RGBA"), (".tif", "RGBA"), (".tif", "LA")],
)
def test_black_drawings_on_transparent_ground_are_laid_on_white(tmp_path, capsys, mode, suffix):
    fill(tmp_path, lambda: drawing(mode), suffix)
    save(tmp_path / "a" / "other.png", noise(12, 12))  # else all are alike
    data = load_folder(tmp_path)
    image = data.train.images[data.train.labels == 1][0]
    assert image[0, 0, 0] > 250 and image[5, 5, 0] < 5
    assert "8 with transparency are laid on white" in capsys.readouterr().err


def test_a_transparent_colour_of_png_is_laid_on_the_background(tmp_path):
    for mode, colour in (("L", 0), ("RGB", (0, 0, 0))):
        root = tmp_path / mode
        image = Image.new(mode, (6, 6))
        image.paste(Image.new(mode, (2, 2), "#646464"), (0, 0))
        for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
            save(root / f"{name}.png", image, transparency=colour)
        with pytest.warns(UserWarning, match="all 6 images are alike"):
            data = load_folder(root)
        assert data.train.images[0, 5, 5, 0] == 255 and data.train.images[0, 0, 0, 0] == 100


def test_white_drawings_want_a_black_background(tmp_path):
    rgba = np.full((12, 12, 4), 255, np.uint8)
    rgba[:6, :, 3] = 0
    fill(tmp_path, lambda: Image.fromarray(rgba))
    save(tmp_path / "a" / "other.png", noise(12, 12))
    with pytest.warns(UserWarning, match=rf"8 of 9 images have no contrast.*{tmp_path}/.*black"):
        load_folder(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_dataset({"type": "folder", "path": str(tmp_path), "background": "black"})
    assert data.source["background"] == "black" and data.test.images.min() == 0


# ---- depth ----


@pytest.mark.parametrize(
    ("top", "bits"), [(255, 8), (1000, 10), (4095, 12), (9999, 14), (65535, 16)]
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_pixels_are_scaled_by_the_fewest_bits_of_the_data_set(
    tmp_path, capsys, top, bits, suffix
):
    levels = np.linspace(0, top, 36).round().astype(np.uint16).reshape(6, 6)
    fill(tmp_path, lambda: RNG.permutation(levels), suffix)
    data = load_folder(tmp_path)
    expected = np.sort(levels.ravel() >> (bits - 8))
    for image in pixels(data):
        np.testing.assert_array_equal(np.sort(image.ravel()), expected)
    assert f"8 of more than 8 bits are scaled from {bits} bits" in capsys.readouterr().err


def test_pixels_of_32_bits_are_scaled_and_negative_ones_refused(tmp_path):
    fill(tmp_path, lambda: RNG.integers(0, 1 << 20, (6, 6), dtype=np.int32), ".tif")
    assert pixels(load_folder(tmp_path)).max() > 200
    broken = save(tmp_path / "a" / "broken.tif", np.full((6, 6), -5, np.int32))
    with pytest.raises(DatasetError, match=f"{broken} cannot be read.*negative"):
        load_folder(tmp_path)


def test_one_bright_file_does_not_change_bytes_of_eight_bits(tmp_path):
    eight = noise(6, 6)
    fill(tmp_path, lambda: RNG.integers(0, 65536, (6, 6), dtype=np.uint16))
    save(tmp_path / "b" / "eight.png", eight)
    assert any(np.array_equal(image[..., 0], eight) for image in pixels(load_folder(tmp_path)))


# ---- contrast ----


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_image_without_contrast_is_named(tmp_path, level):
    fill(tmp_path, lambda: noise(6, 6))
    flat = save(tmp_path / "b" / "flat.png", np.full((6, 6), level, np.uint8))
    with pytest.warns(UserWarning, match=re.escape("1 of 9 images have no contrast")) as caught:
        load_folder(tmp_path)
    assert str(flat) in str(caught[0].message)


def test_images_that_are_all_alike_are_a_warning(tmp_path):
    image = noise(6, 6)
    fill(tmp_path, lambda: image)
    with pytest.warns(UserWarning, match=f"all 8 images are alike, such as {tmp_path}/a/"):
        load_folder(tmp_path)


def test_masks_of_zeros_and_ones_are_a_warning(tmp_path):
    fill(tmp_path, lambda: noise(6, 6) & 1)
    with pytest.warns(UserWarning, match="8 of 8 images have no contrast"):
        load_folder(tmp_path)


def test_usual_images_are_read_without_a_word(tmp_path, capsys, recwarn):
    load_folder(fill(tmp_path, lambda: noise(6, 6, 3)))
    assert capsys.readouterr().err == "" and not recwarn.list


# ---- which files ----


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation"])
def test_a_validation_folder_is_the_validation_split(tmp_path, name):
    seen = [noise(6, 6) for _ in range(3)]
    for split in ("train", "test"):
        fill(tmp_path / split, lambda: noise(6, 6))
    for i, image in enumerate(seen):
        save(tmp_path / name / "b" / f"{i}.png", image)
    data = load_folder(tmp_path)
    assert [len(data.split(split)) for split in ("train", "validation", "test")] == [8, 3, 8]
    np.testing.assert_array_equal(data.validation.images[..., 0], seen)
    assert data.validation.labels.tolist() == [1, 1, 1]


def test_a_validation_folder_is_checked_as_the_others(tmp_path):
    fill(tmp_path / "train", lambda: noise(6, 6))
    fill(tmp_path / "val", lambda: noise(6, 6))
    with pytest.raises(DatasetError, match=r"train/ and val/ have class folders.*counterpart"):
        load_folder(tmp_path)
    fill(tmp_path / "test", lambda: noise(6, 6))
    fill(tmp_path / "validation", lambda: noise(6, 6))
    with pytest.raises(DatasetError, match=r"got val and validation; wanted one folder"):
        load_folder(tmp_path)
    (tmp_path / "validation").rename(tmp_path / "more")
    save(tmp_path / "val" / "c" / "0.png", noise(6, 6))
    with pytest.raises(DatasetError, match=r"val/c: there is no such class in .*train"):
        load_folder(tmp_path)


def test_images_in_folders_of_a_class_belong_to_it(tmp_path):
    fill(tmp_path, lambda: noise(6, 6))
    deep = save(tmp_path / "a" / "more" / "deep" / "0.png", noise(6, 6))
    save(tmp_path / "a" / ".hidden" / "0.png", noise(6, 6))
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")  # a loop, walked once
    data = load_folder(tmp_path)
    images = pixels(data)
    assert len(images) == 9
    assert any(np.array_equal(image[..., 0], np.asarray(Image.open(deep))) for image in images)


def test_what_is_not_read_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    fill(tmp_path / "train", lambda: noise(6, 6))
    fill(tmp_path / "test", lambda: noise(6, 6))
    save(tmp_path / "train" / "stray.png", noise(6, 6))
    save(tmp_path / "extra" / "a" / "0.png", noise(6, 6))
    for name in (
        "0.heic",
        "1.HEIC",
        "notes.txt",
        "drawing.svg",
        "README",
        "Thumbs.db",
        ".DS_Store",
    ):
        (tmp_path / "train" / "a" / name).write_bytes(b"")
    (tmp_path / "train" / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    readable = pictures.readable_extensions() - {".heic", ".heif"}
    monkeypatch.setattr("glimpse_envs.data.folder_layout.readable_extensions", lambda: readable)
    load_folder(tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}: not read: ")
    for part in (
        "2 .heic (Pillow has no reader for it; pip install pillow-heif)",
        "1 .txt (no known kind of image)",
        "1 .svg (no known kind of image)",
        "1 README (no known kind of image)",
        "1 .png that is a broken link or no file",
        "1 .png outside of a class",
        "1 extra/, which is no split",
    ):
        assert part in line
    assert "Thumbs" not in line and "DS_Store" not in line


def test_a_class_of_unreadable_files_says_why(tmp_path, monkeypatch):
    fill(tmp_path, lambda: noise(6, 6))
    for file in (tmp_path / "b").iterdir():
        file.rename(file.with_suffix(".heic"))
    monkeypatch.setattr("glimpse_envs.data.folder_layout.readable_extensions", lambda: {".png"})
    with pytest.raises(DatasetError, match=r"b: the class has no image.*4 \.heic.*pillow-heif"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "feature"),
    [
        (".avif", "avif"),
        (".jp2", "jpg_2000"),
        (".j2k", "jpg_2000"),
        (".jfif", "jpg"),
        (".tga", None),
    ],
)
def test_more_kinds_of_files(tmp_path, suffix, feature):
    if feature and not features.check(feature):
        pytest.skip(f"this Pillow has no {feature}")
    fill(tmp_path, lambda: noise(16, 16, 3), suffix)
    assert len(pixels(load_folder(tmp_path))) == 8


@pytest.mark.parametrize("length", [1, 2])
def test_a_loop_of_links_is_a_message(tmp_path, length):
    links = [tmp_path / f"link{i}" for i in range(length)]
    for link, target in zip(links, [*links[1:], links[0]], strict=True):
        link.symlink_to(target)
    for path in (links[0], links[0] / "deeper"):
        with pytest.raises(DatasetError, match="link0"):
            load_dataset(f"folder:{path}")
        with pytest.raises(DatasetError, match="link0"):
            load_folder(path)


def test_a_loop_of_links_in_the_place_of_a_class_is_passed_over(tmp_path, capsys):
    fill(tmp_path, lambda: noise(6, 6))
    (tmp_path / "c").symlink_to(tmp_path / "c")
    assert load_folder(tmp_path).classes == ("a", "b")
    assert "not read: 1 c outside of a class" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "~nobody_of_that_name/x"])
def test_an_impossible_path_is_a_message(path):
    with pytest.raises(DatasetError):
        load_dataset(f"folder:{path}")


# ---- shape ----


def test_letterboxing_keeps_the_whole_image(tmp_path, capsys):
    for name in "ab":
        for i in range(4):
            image = np.full((8, 16 + i), 100, np.uint8)
            image[:, :2], image[:, -2:] = 0, 255
            save(tmp_path / name / f"{i}.png", image)
    cropped = load_dataset(f"folder:{tmp_path}")
    assert "8 are cropped to their middle square (fit='keep'" in capsys.readouterr().err
    assert cropped.image_shape == (8, 8, 1) and np.unique(pixels(cropped)).tolist() == [100]
    whole = load_dataset({"type": "folder", "path": str(tmp_path), "fit": "letterbox"})
    assert "8 get white bars" in capsys.readouterr().err
    assert whole.image_shape == (18, 18, 1)
    assert (pixels(whole)[:, 0] == 255).all() and (pixels(whole)[:, 9, 0] < 30).all()
    black = load_folder(tmp_path, fit="letterbox", background="black", size=16)
    assert (pixels(black)[:, 0] == 0).all() and black.image_shape == (16, 16, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fit": "letterbx"}, "did you mean 'letterbox'"),
        ({"fit": None}, "got fit=None"),
        ({"background": "grey"}, "got background='grey'; .*black, white"),
        ({"background": 0}, "got background=0"),
        ({"size": 0}, "got 0 as the size"),
        ({"size": 1e9}, "got 1000000000.0 as the size"),
        ({"size": 10**9}, "is full: make room"),
        ({"size": 10**30}, "is full: make room"),
    ],
)
def test_wrong_arguments_of_a_folder_are_messages(tmp_path, arguments, message):
    fill(tmp_path, lambda: noise(6, 6))
    with pytest.raises(DatasetError, match=message):
        load_dataset({"type": "folder", "path": str(tmp_path)} | arguments)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read anything")
def test_a_folder_without_permission_is_named(tmp_path):
    fill(tmp_path, lambda: noise(6, 6))
    (tmp_path / "a").chmod(0)
    with pytest.raises(DatasetError, match="permissions"):
        load_folder(tmp_path)
    (tmp_path / "a").chmod(0o755)
