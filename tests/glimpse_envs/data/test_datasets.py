"""Data sets from arrays, files, folders and downloads: their splits, and what is refused."""

import copy
import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from glimpse_envs.data import datasets, downloads, loaders
from glimpse_envs.data.datasets import DatasetError, ImageDataset, Split
from glimpse_envs.data.downloads import pack_dataset
from glimpse_envs.data.loaders import load_dataset

RNG = np.random.default_rng(0)


def noise(n: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (n, *shape), dtype=np.uint8)


def arrays(n_train: int = 60, n_test: int = 12, shape: tuple[int, ...] = (6, 5, 3), k: int = 3):
    return {
        "train_images": noise(n_train, *shape),
        "train_labels": np.arange(n_train, dtype=np.uint8) % k,
        "test_images": noise(n_test, *shape),
        "test_labels": np.arange(n_test, dtype=np.uint8) % k,
    }


def write_image(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_class(folder: Path, n: int, *shape: int) -> None:
    for i in range(n):
        write_image(folder / f"{i:03}.png", noise(1, *shape)[0])


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch) -> Path:
    """An own data directory for each test; the cache is keyed by it, so tests do not meet."""
    folder = tmp_path / "data"
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(folder))
    return folder


# ---- splits and data sets of arrays ----


def test_split_is_read_only_contiguous_and_leaves_the_callers_array_writeable():
    images = np.asfortranarray(noise(4, 6, 5, 3))
    labels = np.arange(4)
    split = Split(images, labels)
    assert len(split) == 4
    assert split.images.flags.c_contiguous and split.labels.dtype == np.int64
    for array in (split.images, split.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    labels[0] = 0


def test_derived_is_built_once_read_only_and_not_pickled():
    split = Split(noise(4, 6, 5), np.arange(4))
    calls = []

    def build(images: np.ndarray) -> np.ndarray:
        calls.append(images.shape)
        return images.astype(np.uint32).sum(axis=(1, 2))

    sums = split.derived("sums", build)
    assert split.derived("sums", build) is sums
    assert calls == [(4, 6, 5, 1)]
    assert not sums.flags.writeable
    again = pickle.loads(pickle.dumps(split))
    np.testing.assert_array_equal(again.images, split.images)
    assert not again.images.flags.writeable and not again._memo


def test_from_arrays_cuts_a_tenth_for_validation_always_the_same():
    data = arrays(n_train=200)
    one, two = ImageDataset.from_arrays(**data), ImageDataset.from_arrays(**data)
    assert [len(one.split(s)) for s in datasets.SPLITS] == [180, 20, 12]
    np.testing.assert_array_equal(one.validation.images, two.validation.images)
    assert one.digest == two.digest

    # Train and validation together are what was given, each image once and with its label.
    def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
        return sorted((i.tobytes(), int(k)) for i, k in zip(images, labels, strict=True))

    cut = [(s.images, s.labels) for s in (one.train, one.validation)]
    together = [np.concatenate(parts) for parts in zip(*cut, strict=True)]
    assert rows(*together) == rows(data["train_images"], data["train_labels"])


def test_from_arrays_keeps_every_class_in_train():
    labels = np.r_[np.zeros(40, int), np.arange(1, 30)]  # 29 classes of one image
    data = ImageDataset.from_arrays(noise(69, 4, 4), labels, noise(1, 4, 4), [0])
    assert set(data.train.labels) == set(range(30))
    assert set(data.validation.labels) == {0} and len(data.validation) == 7
    assert data.n_classes == 30 and data.classes[29] == "29"


def test_from_arrays_adds_the_channel_and_names_shapes():
    data = ImageDataset.from_arrays(**arrays(shape=(6, 5)), classes=["a", "b", "c"])
    assert data.image_shape == (6, 5, 1) and data.train.images.shape == (54, 6, 5, 1)
    assert data.classes == ("a", "b", "c") and data.name == "custom" and data.source is None


def test_digest_depends_on_pixels_and_labels():
    data = arrays()
    before = ImageDataset.from_arrays(**data).digest
    data["test_images"][0, 0, 0, 0] ^= 1
    changed_pixel = ImageDataset.from_arrays(**data).digest
    data["test_labels"] = data["test_labels"][::-1]
    assert len({before, changed_pixel, ImageDataset.from_arrays(**data).digest}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": np.zeros((60, 6, 5, 3))}, r"train: .*uint8.*float64.*astype\(np.uint8\)"),
        ({"train_images": noise(60, 6)}, r"train: .*\(N, H, W, C\).*\(60, 6\)"),
        ({"test_images": noise(0, 6, 5, 3)}, r"test: .*non-empty"),
        ({"test_images": noise(12, 3, 6, 5)}, r"test: .*channels-first.*transpose"),
        ({"test_images": noise(12, 6, 6, 3)}, r"test: images are 6 x 6 x 3.*6 x 5 x 3"),
        ({"train_images": [[1], [1, 2]]}, r"train: "),
        ({"train_labels": np.zeros(60)}, r"train: labels must be integers, got float64"),
        ({"train_labels": np.arange(59) % 3}, r"train: labels must be \(60,\).*\(59,\)"),
        ({"train_labels": np.arange(60) % 3 + 1}, r"train: labels must be in 0\.\.2.*1\.\.3"),
        ({"train_labels": np.arange(60) % 3 * 10**12}, r"train: labels must be in 0\.\.2"),
        ({"test_labels": np.arange(12) - 1}, r"labels must be in 0\.\.2.*-1\.\.10"),
        ({"train_labels": np.zeros(60, int)}, r"at least two"),
        ({"classes": ["a", "b", "c", "d"]}, r"no image of class 'd' \(label 3\)"),
        ({"classes": ["a", "b", "b"]}, r"different names"),
        ({"train_images": noise(3, 6, 5, 3), "train_labels": [0, 1, 2]}, r"none for validation"),
    ],
)
def test_from_arrays_says_what_is_wrong(change, message):
    with pytest.raises(DatasetError, match=message):
        ImageDataset.from_arrays(**(arrays() | change))


def test_unknown_split_names_the_nearest():
    data = ImageDataset.from_arrays(**arrays())
    assert data.split("validation") is data.validation
    with pytest.raises(DatasetError, match=r"'validaton'.*did you mean 'validation'"):
        data.split("validaton")


def test_copies_are_the_data_set_itself():
    data = ImageDataset.from_arrays(**arrays())
    assert copy.copy(data) is data and copy.deepcopy({"dataset": data})["dataset"] is data
    assert copy.deepcopy(data.train) is data.train


def test_pickle_of_own_arrays_carries_them():
    data = ImageDataset.from_arrays(**arrays(), name="mine", classes=["a", "b", "c"])
    again = pickle.loads(pickle.dumps(data))
    assert again is not data and again.name == "mine" and again.classes == data.classes
    assert again.digest == data.digest and not again.train.images.flags.writeable


# ---- load_dataset ----


def test_a_data_set_passes_through():
    data = ImageDataset.from_arrays(**arrays())
    assert load_dataset(data) is data


def test_digits():
    data = load_dataset("digits")
    assert data.image_shape == (16, 16, 1) and data.n_classes == 10
    assert sum(len(data.split(s)) for s in datasets.SPLITS) == 1797
    assert data.train.images.max() == 255 and data.train.images.min() == 0
    shares = np.bincount(data.test.labels) / np.bincount(
        np.concatenate([data.split(s).labels for s in datasets.SPLITS])
    )
    assert np.abs(shares - 0.2).max() < 0.01  # stratified


def test_loaded_once_and_pickled_by_name():
    data = load_dataset("digits")
    assert load_dataset({"type": "digits"}) is data and data.source == "digits"
    pickled = pickle.dumps(data)
    assert len(pickled) < 200
    assert pickle.loads(pickled) is data


def test_pickle_by_name_loads_in_another_process(data_dir):
    pack_dataset(data_dir / "tiny.npz", **arrays())
    data = load_dataset("tiny")
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).digest, 'torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(data),
        capture_output=True,
        check=True,
        cwd=Path(datasets.__file__).parents[1],
    )
    assert result.stdout.decode().split() == [data.digest, "False"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("minst", r"'minst'.*did you mean 'mnist'.*digits, .*folder:PATH, mnist, .*_DATA_DIR"),
        ("MNIST", r"did you mean 'mnist'"),
        ("../data/tiny", r"There is no data set"),
        (7, r"given by .*got 7"),
        ({"size": 7}, r"given by .*'size': 7"),
        ({"type": "mnist", "size": 7}, r"'mnist' has no argument 'size'.*none"),
        ({"type": "folder", "path": "x", "sise": 7}, r"no argument 'sise'.*'size'.*path.*size"),
        ({"type": "folder", "path": "x", "size": [7]}, r"positive int.*\[7\]"),
        ({"type": "folder", "path": "x", "size": True}, r"positive int.*True"),
        ("folder", r"folder:PATH"),
        ("folder:", r"folder:PATH"),
    ],
)
def test_a_wrong_specification_says_what_is_known(spec, message):
    with pytest.raises(DatasetError, match=message):
        load_dataset(spec)


def test_an_unknown_name_that_is_a_folder_suggests_folder(tmp_path):
    with pytest.raises(DatasetError, match=f"did you mean 'folder:{tmp_path}'"):
        load_dataset(str(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="other folders hold the user's cache")
def test_data_directory_is_read_at_each_call(tmp_path, monkeypatch):
    assert loaders.data_directory() == tmp_path / "data"
    monkeypatch.delenv("GLIMPSE_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert loaders.data_directory() == tmp_path / "cache" / "glimpse_envs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loaders.data_directory() == tmp_path / ".cache" / "glimpse_envs"


# ---- packed files ----


def test_pack_and_load_round_trip(data_dir):
    data = arrays()
    path = pack_dataset(data_dir / "tiny.npz", **data, classes=["a", "b", "ü"])
    loaded = load_dataset("tiny")
    expected = ImageDataset.from_arrays(**data)
    assert loaded.digest == expected.digest and loaded.classes == ("a", "b", "ü")
    assert loaded.name == loaded.source == "tiny"
    assert os.listdir(data_dir) == [path.name]
    with np.load(path) as file:
        assert set(file) == set(downloads.KEYS) and file["train_labels"].dtype == np.uint8


def test_a_packed_file_of_a_known_name_may_lack_the_channel(data_dir):
    pack_dataset(data_dir / "mnist.npz", **arrays(shape=(28, 28)))
    assert load_dataset("mnist").image_shape == (28, 28, 1)


def test_a_packed_file_of_a_known_name_must_have_its_shape(data_dir):
    pack_dataset(data_dir / "cifar10.npz", **arrays(shape=(28, 28)))
    with pytest.raises(DatasetError, match=r"cifar10.npz: .*\(32, 32, 3\).*\(28, 28, 1\).*delete"):
        load_dataset("cifar10")


@pytest.mark.parametrize("keep", [0, 10, 300, 0.5, -1])
def test_a_truncated_file_is_named(data_dir, keep):
    path = pack_dataset(data_dir / "mnist.npz", **arrays(shape=(28, 28)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(DatasetError, match=r"mnist.npz: .*whole copy, or delete it"):
        load_dataset("mnist")


def test_a_flipped_byte_is_noticed_and_a_mended_file_loads(data_dir):
    path = pack_dataset(data_dir / "tiny.npz", **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
    with pytest.raises(DatasetError, match=r"tiny.npz: .*CRC.*pack_dataset"):
        load_dataset("tiny")
    path.write_bytes(whole)
    assert load_dataset("tiny").n_classes == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": None}, "classes missing, it must hold train_images"),
        ({"classes": np.arange(3)}, r"classes must be strings \(K,\), got int64 \(3,\)"),
        ({"classes": np.array(["a", None, "c"], dtype=object)}, "not a readable npz"),
        ({"train_images": np.zeros((60, 6, 5, 3), np.float32)}, "uint8"),
        ({"test_labels": np.full(12, 3)}, r"test: labels must be in 0\.\.2"),
        ({"test_images": noise(0, 6, 5, 3), "test_labels": np.arange(0)}, "test: .*non-empty"),
    ],
)
def test_a_wrong_packed_file_is_named(data_dir, change, message):
    data = arrays() | {"classes": np.array(["a", "b", "c"])} | change
    data_dir.mkdir()
    np.savez(data_dir / "own.npz", **{k: v for k, v in data.items() if v is not None})
    with pytest.raises(DatasetError, match=f"own.npz: .*{message}.*pack_dataset"):
        load_dataset("own")


def test_a_npy_file_under_the_name_of_an_npz_is_refused(data_dir):
    data_dir.mkdir()
    with (data_dir / "own.npz").open("wb") as file:
        np.save(file, noise(3, 3))
    with pytest.raises(DatasetError, match=r"own.npz: not a readable npz"):
        load_dataset("own")


@pytest.mark.parametrize("target", ["numpy.savez", "os.replace"])
def test_a_full_disk_leaves_no_partial_file(data_dir, monkeypatch, target):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(target, full)
    with pytest.raises(DatasetError, match=r"tiny.npz could not be written.*No space.*make room"):
        pack_dataset(data_dir / "tiny.npz", **arrays())
    assert os.listdir(data_dir) == []


def test_pack_checks_before_it_writes(data_dir):
    with pytest.raises(DatasetError, match="uint8"):
        pack_dataset(data_dir / "tiny.npz", **(arrays() | {"test_images": np.zeros((12, 6, 5, 3))}))
    with pytest.raises(DatasetError, match=r"NAME.npz, got 'tiny'"):
        pack_dataset(data_dir / "tiny", **arrays())
    assert not data_dir.exists()


# ---- downloads ----


class FakeMNIST:
    """What torchvision's class looks like from outside, without its network."""

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download and Path(root).is_dir()
        (Path(root) / "raw").write_bytes(b"left behind")
        self.data = noise(40 if train else 20, 28, 28)
        self.targets = (np.arange(len(self.data)) % 10).tolist()


def test_a_download_is_packed_and_leaves_only_that(data_dir, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.FashionMNIST", FakeMNIST)
    data = load_dataset("fashion_mnist")
    assert data.image_shape == (28, 28, 1) and data.classes[9] == "Ankle boot"
    assert os.listdir(data_dir) == ["fashion_mnist.npz"]


@pytest.mark.parametrize(
    "error",
    [URLError("Name or service not known"), RuntimeError("File not found or corrupted.")],
)
def test_without_a_network_one_error_gives_the_ways_on(data_dir, monkeypatch, error):
    import socket

    timeouts = []

    def unreachable(root: str, **kwargs):
        timeouts.append(socket.getdefaulttimeout())
        (Path(root) / "part").write_bytes(b"half a file")
        raise error

    monkeypatch.setattr("torchvision.datasets.CIFAR10", unreachable)
    with pytest.raises(DatasetError) as raised:
        load_dataset("cifar10")
    message = str(raised.value)
    for part in ("'cifar10'", str(data_dir / "cifar10.npz"), "GLIMPSE_DATA_DIR", "digits"):
        assert part in message
    assert "folder:PATH" in message and "(N, 32, 32, 3)" in message and "train_labels" in message
    assert os.listdir(data_dir) == []
    assert timeouts == [20.0] and socket.getdefaulttimeout() is None


def test_a_data_directory_that_is_a_file_is_named(data_dir):
    data_dir.write_text("")
    with pytest.raises(DatasetError, match=f"{data_dir}"):
        load_dataset("mnist")


# ---- image folders ----


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
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        image = Image.fromarray(noise(1, 5, 5, 3)[0]).quantize(4)
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
        (prepare_missing, "There is no folder {root}"),
        (lambda root: None, "{root}: wanted are at least two folders.*got 0: none"),
        (prepare_one_class, "{root}: wanted are at least two folders.*got 1: only"),
        (prepare_empty_class, "{root}/b: the class has no image"),
        (prepare_single_image, r"{root}/b: one image \(000.png\) cannot be split"),
        (prepare_two_images, "{root}: train: 2 images, one of each class, leave none"),
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
    with pytest.raises(DatasetError, match=message.format(root=root)):
        load_dataset(f"folder:{root}")
