"""Image folders: one folder for each class, with image files of any of the usual kinds in it.

Either ``PATH/train/CLASS/*`` and ``PATH/test/CLASS/*``, or ``PATH/CLASS/*``, of which a fixed
random 20 % of each class is test (drawn from the sorted file names). Hidden files and folders,
and files that are no images, are passed over.
"""

import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glimpse_envs.data.datasets import DatasetError, ImageDataset, split_by_class

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
LARGEST_DEFAULT_SIZE = 256  # pixels; glimpses seldom need more, and every image stays in memory
MANY_FILES = 2000  # from here on reading takes long enough for a progress bar
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
EXIF_ORIENTATION = 0x0112


class Listing(NamedTuple):
    """The image files of a split, sorted by class and name, and their labels."""

    files: list[Path]
    labels: np.ndarray  # int64 (N,)


class Header(NamedTuple):
    """What a file says of its image before the pixels are decoded; upright width and height."""

    width: int
    height: int
    grey: bool


def load_folder(path: str | Path, size: int | None = None) -> ImageDataset:
    """Read an image folder; the sub-folders' sorted names are the classes.

    If all images have one size and ``size`` is None, they are kept as they are. Otherwise the
    middle square of each is resized, antialiased, to ``size`` x ``size``; by default that is the
    median of the images' shorter sides, at most 256. Where all files are greyscale, C = 1;
    otherwise all become RGB. EXIF orientation is obeyed, transparency dropped, 16 bits are
    reduced to 8, and of an animation the first frame is taken.

    :param path: holds ``train`` and ``test`` with a folder for each class, or these folders
    :param size: side of the square images in pixels, or None
    :raises DatasetError: if a folder is missing, there are fewer than two classes, a class has no
        image, test has a class that train lacks, or a file cannot be read
    """
    root = Path(path)
    try:
        classes, train, test = _list_splits(root)
    except OSError as error:
        raise DatasetError(f"{root} cannot be read ({error}). Check its permissions.") from error
    headers = [_header(file) for file in _progress([*train.files, *test.files], "headers")]
    shape = _common_shape(headers, size)
    train_images, test_images = (_read_images(split.files, shape) for split in (train, test))
    try:
        return ImageDataset.from_arrays(
            train_images,
            train.labels,
            test_images,
            test.labels,
            classes=classes,
            name=root.name,
        )
    except DatasetError as error:
        raise DatasetError(f"{root}: {error}") from error


def folder_arguments(path: str | Path = "", size: int | None = None) -> dict[str, Any]:
    """The arguments of :func:`load_folder`, checked, the path absolute, defaults left out.

    :raises DatasetError: if one is of the wrong kind
    """
    if not isinstance(path, str | Path) or not str(path):
        raise DatasetError(f"An image folder is given as 'folder:PATH', got the path {path!r}.")
    arguments: dict[str, Any] = {"path": str(Path(path).expanduser().resolve())}
    if size is not None:
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise DatasetError(f"The size of images must be a positive int or None, got {size!r}.")
        arguments["size"] = int(size)
    return arguments


def _list_splits(root: Path) -> tuple[list[str], Listing, Listing]:
    if not root.is_dir():
        raise DatasetError(
            f"There is no folder {root}. Wanted is one that holds train/CLASS/* and test/CLASS/*, "
            "or CLASS/*."
        )
    split_folders = [root / name for name in ("train", "test") if _sub_folders(root / name)]
    if len(split_folders) == 1:
        raise DatasetError(
            f"{root}: {split_folders[0].name}/ has class folders, but its counterpart has none. "
            "Wanted are train/CLASS/* and test/CLASS/*."
        )
    if not split_folders:
        classes = _class_names(root)
        return classes, *_split(_list_images(root, classes))
    train, test = split_folders
    classes = _class_names(train)
    if unknown := sorted(set(_sub_folders(test)) - set(classes)):
        raise DatasetError(
            f"{test / unknown[0]}: there is no such class in {train}. Add it there, or remove it."
        )
    return classes, _list_images(train, classes), _list_images(test, classes)


def _sub_folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _class_names(root: Path) -> list[str]:
    classes = _sub_folders(root)
    if len(classes) < 2:
        raise DatasetError(
            f"{root}: wanted are at least two folders, one for each class, with images in them; "
            f"got {len(classes)}: {', '.join(classes) or 'none'}."
        )
    return classes


def _list_images(root: Path, classes: list[str]) -> Listing:
    """The images of the classes that have a folder in ``root``."""
    files, labels = [], []
    for label, name in enumerate(classes):
        if not (root / name).is_dir():
            continue
        found = sorted(file for file in (root / name).iterdir() if _is_image(file))
        if not found:
            raise DatasetError(
                f"{root / name}: the class has no image ({' '.join(sorted(EXTENSIONS))}). "
                "Add some, or remove the folder."
            )
        files += found
        labels += [label] * len(found)
    return Listing(files, np.array(labels))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in EXTENSIONS and not file.name.startswith(".") and file.is_file()


def _split(listing: Listing) -> tuple[Listing, Listing]:
    first, counts = np.unique(listing.labels, return_index=True, return_counts=True)[1:]
    if counts.min() < 2:
        file = listing.files[first[counts.argmin()]]
        raise DatasetError(
            f"{file.parent}: one image ({file.name}) cannot be split into train and test. Add "
            "some, or make folders train/CLASS/ and test/CLASS/."
        )
    train, test = (
        Listing([listing.files[i] for i in indices], listing.labels[indices])
        for indices in split_by_class(listing.labels)
    )
    return train, test


def _common_shape(headers: list[Header], size: int | None) -> tuple[int, int, int]:
    """(H, W, C) that all images are brought to."""
    channels = 1 if all(header.grey for header in headers) else 3
    sizes = {(header.height, header.width) for header in headers}
    if size is None and len(sizes) == 1:
        return *sizes.pop(), channels
    if size is None:
        median = statistics.median(min(header.height, header.width) for header in headers)
        size = min(LARGEST_DEFAULT_SIZE, round(median))
    return size, size, channels


@contextmanager
def _opened(file: Path) -> Iterator["Image"]:
    """The image of a file; any exception within the block means that the file is broken."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            yield image
    # Each format's decoder fails in ways of its own: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise DatasetError(
            f"{file} cannot be read as an image ({type(error).__name__}: {error}). Replace it, or "
            "remove it."
        ) from error


def _header(file: Path) -> Header:
    with _opened(file) as image:
        if image.mode == "F":
            raise ValueError("floating-point pixels have no known range; save 8 or 16 bits")
        width, height = image.size
        if image.getexif().get(EXIF_ORIENTATION, 1) >= 5:  # lies on its side
            width, height = height, width
        return Header(width, height, image.mode in GREY_MODES)


def _read_images(files: list[Path], shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 (N, *shape)."""
    try:
        images = np.empty((len(files), *shape), dtype=np.uint8)
    except MemoryError as error:
        raise DatasetError(
            f"{len(files)} images of {shape} do not fit into memory. Give a smaller size: "
            "{'type': 'folder', 'path': ..., 'size': 64}."
        ) from error
    for index, file in enumerate(_progress(files, "images")):
        with _opened(file) as image:
            images[index] = _pixels(image, shape)
    return images


def _pixels(image: "Image", shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 of that shape: upright, its middle cut out and resized where the size differs."""
    from PIL import Image, ImageOps

    height, width, channels = shape
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip them to 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "P":  # by way of RGBA, because a palette may hold transparent colours
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        # Cropped first: ImageOps.fit would let the resampling reach beyond the square's edge.
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        image = square.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(shape)


def _progress(files: list[Path], what: str) -> Iterable[Path]:
    from tqdm import tqdm  # writes to stderr

    return tqdm(files, desc=f"Reading {what}", unit="file", disable=len(files) < MANY_FILES)
