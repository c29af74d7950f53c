"""Folders of image files: splits, sizes, formats, and what is wrong with one."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from images import noise, write_class, write_image
from PIL import Image

from glimpse_envs.data import loaders
from glimpse_envs.data.datasets import DatasetError
from glimpse_envs.data.loaders import load_dataset

pytestmark = pytest.mark.usefixtures("data_dir")


def test_folder_with_splits_keeps_equal_images_as_they_are(tmp_path):
    pixels = {}
    for split, n in (("train", 10), ("test", 2)):
        for label in ("cat", "dog"):
            for i in range(n):
                pixels[split, label, i] = noise(1, 7, 9, 3)[0]
                write_image(tmp_path / split / label / f"{i:02}.png", pixels[split, label, i])
    (tmp_path / "train" / ".hidden").mkdir()
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "cat" / "._00.png").write_bytes(b"no image either")
    data = load_dataset(f"folder:{tmp_path}")
    assert data.classes == ("cat", "dog") and data.image_shape == (7, 9, 3)
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 4)
    expected = np.stack([pixels["test", label, i] for label in data.classes for i in range(2)])
    np.testing.assert_array_equal(data.test.images, expected)
    np.testing.assert_array_equal(data.test.labels, [0, 0, 1, 1])
    assert data.name == tmp_path.name


def test_folder_of_one_level_is_split_by_class_always_the_same(tmp_path):
    write_class(tmp_path / "a", 10, 5, 5)
    write_class(tmp_path / "b", 20, 5, 5)
    data = load_dataset({"type": "folder", "path": str(tmp_path)})
    assert data.image_shape == (5, 5, 1)
    assert np.bincount(data.test.labels).tolist() == [2, 4]
    assert len(data.train) + len(data.validation) == 24
    loaders._load.cache_clear()
    again = load_dataset(f"folder:{tmp_path}")
    assert again is not data and again.digest == data.digest


def test_folder_is_cached_and_pickled_by_its_absolute_path(tmp_path, monkeypatch):
    write_class(tmp_path / "pictures" / "a", 4, 5, 5)
    write_class(tmp_path / "pictures" / "b", 4, 5, 5)
    monkeypatch.chdir(tmp_path)
    data = load_dataset("folder:pictures")
    assert load_dataset({"type": "folder", "path": Path("pictures"), "size": None}) is data
    small = load_dataset({"type": "folder", "path": "pictures", "size": 3})
    assert small.image_shape == (3, 3, 1)
    assert small.source == {"type": "folder", "path": str(tmp_path / "pictures"), "size": 3}
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(small)) is small


def test_folder_crops_the_middle_and_takes_the_median_size(tmp_path):
    # The middle square is white, what lies outside it black: cropping leaves white alone.
    for label in ("a", "b"):
        for i, (height, width) in enumerate([(8, 20), (12, 30), (40, 16)]):
            pixels = np.zeros((height, width), np.uint8)
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            pixels[top : top + side, left : left + side] = 255
            write_image(tmp_path / label / f"{i}.png", pixels)
    data = load_dataset(f"folder:{tmp_path}")
    assert data.image_shape == (12, 12, 1)
    assert data.train.images.min() == 255


def test_folder_resizing_is_antialiased(tmp_path):
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
        write_image(tmp_path / f"{name}.png", checkers.astype(np.uint8))
    data = load_dataset({"type": "folder", "path": str(tmp_path), "size": 8})
    assert np.abs(data.train.images.astype(int) - 127).max() <= 3  # skipping pixels gives 0 or 255


def test_default_size_is_at_most_256(tmp_path):
    write_class(tmp_path / "a", 3, 400, 300)
    write_class(tmp_path / "b", 3, 300, 400)
    assert load_dataset(f"folder:{tmp_path}").image_shape == (256, 256, 1)


def test_one_coloured_image_makes_all_rgb(tmp_path):
    write_class(tmp_path / "a", 3, 5, 5)
    write_class(tmp_path / "b", 2, 5, 5)
    write_image(tmp_path / "b" / "colour.png", noise(1, 5, 5, 3)[0])
    assert load_dataset(f"folder:{tmp_path}").image_shape == (5, 5, 3)


def test_exif_orientation_is_obeyed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    lying = np.zeros((8, 16), np.uint8)
    lying[:, :8] = 255  # the left half, which the turn brings to the top
    for label in ("a", "b"):
        for i in range(3):
            write_image(tmp_path / label / f"{i}.jpg", lying, exif=exif, quality=95)
    data = load_dataset(f"folder:{tmp_path}")
    assert data.image_shape == (16, 8, 1)
    assert data.test.images[0, :8].min() > 200 and data.test.images[0, 8:].max() < 50


def test_sixteen_bits_are_reduced_to_eight(tmp_path):
    levels = np.array([0, 255, 256, 32768, 65535], np.uint16)
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
        write_image(tmp_path / f"{name}.png", np.tile(levels, (5, 1)))
    data = load_dataset(f"folder:{tmp_path}")
    np.testing.assert_array_equal(data.test.images[0, 0, :, 0], [0, 0, 1, 128, 255])


def test_floating_point_pixels_are_refused(tmp_path):
    for name in ("a/0", "b/0", "b/1", "a/1"):
        write_image(tmp_path / f"{name}.tif", np.full((5, 5), 0.5, np.float32))
    with pytest.raises(DatasetError, match=r"a/.\.tif cannot be read.*floating-point"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("extension", ["png", "JPG", "jpeg", "bmp", "gif", "webp", "ppm", "tif"])
def test_formats(tmp_path, extension):
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
        write_image(tmp_path / f"{name}.{extension}", noise(1, 5, 5, 3)[0])
    assert load_dataset(f"folder:{tmp_path}").image_shape == (5, 5, 3)


def test_a_palette_with_transparency_becomes_rgb_without_a_warning(tmp_path, recwarn):
    for seed, name in enumerate(("a/0", "a/1", "a/2", "b/0", "b/1", "b/2")):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        image = Image.fromarray(noise(1, 5, 5, 3, seed=seed)[0]).quantize(4)
        image.save(path, transparency=b"\x00\x80\xff\xff")
    assert load_dataset(f"folder:{tmp_path}").image_shape == (5, 5, 3)
    assert not recwarn.list


def prepare_missing(root: Path) -> None:
    root.rmdir()


def prepare_one_class(root: Path) -> None:
    write_class(root / "only", 4, 5, 5)


def prepare_empty_class(root: Path) -> None:
    write_class(root / "a", 4, 5, 5)
    (root / "b").mkdir()
    (root / "b" / "notes.txt").write_text("no image")


def prepare_single_image(root: Path) -> None:
    write_class(root / "a", 4, 5, 5)
    write_class(root / "b", 1, 5, 5)


def prepare_two_images(root: Path) -> None:
    write_class(root / "a", 2, 5, 5)
    write_class(root / "b", 2, 5, 5)


def prepare_no_test(root: Path) -> None:
    for label in "ab":
        write_class(root / "train" / label, 4, 5, 5)


def prepare_class_only_in_test(root: Path) -> None:
    prepare_no_test(root)
    write_class(root / "test" / "c", 1, 5, 5)


def prepare_truncated_image(root: Path) -> None:
    write_class(root / "a", 4, 50, 50)
    write_class(root / "b", 4, 50, 50)
    broken = root / "b" / "002.png"
    broken.write_bytes(broken.read_bytes()[:1000])


def prepare_text_as_image(root: Path) -> None:
    write_class(root / "a", 4, 5, 5)
    write_class(root / "b", 4, 5, 5)
    (root / "b" / "002.png").write_text("not a picture")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (prepare_missing, "got {root}, and there is no such folder"),
        (lambda root: None, r"{root}: got 0 folders of classes \(none\); wanted at least two"),
        (prepare_one_class, r"{root}: got 1 folders of classes \(only\); wanted at least two"),
        (prepare_empty_class, "{root}/b: the class has no image"),
        (prepare_single_image, r"{root}/b: one image \(000.png\) cannot be split"),
        (prepare_two_images, "{root}: train: got 2 images, one of each class, which leaves none"),
        (prepare_no_test, "{root}: train/ has class folders, but its counterpart has none"),
        (prepare_class_only_in_test, "{root}/test/c: there is no such class in {root}/train"),
        (prepare_truncated_image, "{root}/b/002.png cannot be read as an image"),
        (prepare_text_as_image, "{root}/b/002.png cannot be read as an image"),
    ],
)
def test_a_wrong_folder_is_named(tmp_path, prepare, message):
    root = tmp_path / "pictures"
    root.mkdir()
    prepare(root)
    with pytest.raises(DatasetError, match=f"^{message.format(root=root)}"):
        load_dataset(f"folder:{root}")
