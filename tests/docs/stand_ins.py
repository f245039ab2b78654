"""Small data in the place of what the documents ask their readers for: real digits under other names."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits

from tests.docs.documents import blocks

Images = npt.NDArray[np.uint8]


def digits(size: int) -> tuple[Images, npt.NDArray[np.int64]]:
    """scikit-learn's 1,797 digits as bytes (n, size, size), and their labels (n,)."""
    images, labels = load_digits(return_X_y=True)
    scale = size // 8
    enlarged = np.kron(images.reshape(-1, 8, 8) * 15.9, np.ones((scale, scale))).astype(np.uint8)
    margin = (size - 8 * scale) // 2
    rest = size - 8 * scale - margin
    return np.pad(enlarged, ((0, 0), (margin, rest), (margin, rest))), labels


def mnist(folder: Path) -> None:
    """DIR with the four files of MNIST, 600 and 200 images; and photos of the reader's own."""
    photos(folder)
    images, labels = digits(28)
    (folder / "DIR").mkdir()
    for name, part in (("train", slice(0, 600)), ("t10k", slice(600, 800))):
        for kind, values in (("images-idx3", images[part]), ("labels-idx1", labels[part].astype(np.uint8))):
            head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
            (folder / "DIR" / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))


def omniglot(folder: Path) -> None:
    """242 characters, each drawn by six: every class is a digit of its own."""
    images, _ = digits(28)
    names = np.array([f"character {k}" for k in range(242)])
    np.savez(
        folder / "omniglot_background_small.npz",
        images28=np.repeat(images[:242], 6, axis=0),
        label=np.repeat(np.arange(242), 6),
        drawer=np.tile(np.arange(1, 7), 242),
        char_names=names,
    )


def faces(folder: Path) -> None:
    """40 people of 10 pictures each: every person is a digit of its own."""
    images, _ = digits(56)
    wide = np.pad(images[:40], ((0, 0), (28, 28), (18, 18)))
    pictures = np.repeat(wide, 10, axis=0)
    pictures += np.random.default_rng(1).integers(0, 9, pictures.shape, dtype=np.uint8)
    np.savez(folder / "orl_faces_112x92.npz", x=pictures, y=np.repeat(np.arange(1, 41), 10))


def photos(folder: Path) -> None:
    """A folder with one sub-folder of pictures for each class."""
    images, labels = digits(32)
    for name, label in (("cat", 3), ("dog", 7)):
        (folder / "photos" / name).mkdir(parents=True)
        for number, image in enumerate(images[labels == label][:60]):
            Image.fromarray(image).save(folder / "photos" / name / f"{number}.png")


def readers_files(folder: Path) -> None:
    """What README.md supposes: photos by class, single photos, its net and solver, and two nets with a slip each."""
    photos(folder)
    for name in ("photo", "cross1", "cross2"):
        Image.fromarray(digits(32)[0][0]).save(folder / f"{name}.png")
    net, solver = (block.text for block in blocks(folder / "README.md", "protobuf"))
    (folder / "my_net.prototxt").write_text(net, encoding="utf-8")
    (folder / "my_solver.prototxt").write_text(solver, encoding="utf-8")
    assert "margin: 2" in net and "num_output: 16" in net
    (folder / "misspelt.prototxt").write_text(net.replace("margin: 2", "margn: 2"), encoding="utf-8")
    (folder / "unequal.prototxt").write_text(net.replace("num_output: 16", "num_output: 18", 1), encoding="utf-8")


STAND_INS: dict[str, Callable[[Path], None]] = {
    "README.md": readers_files,
    "models/faces_verification/README.md": faces,
    "models/fewshot_mnist/README.md": mnist,
    "models/lenet_mnist/README.md": mnist,
    "models/oneshot_omniglot/README.md": omniglot,
    "models/siamese_mnist/README.md": mnist,
    "models/triplet_mnist/README.md": mnist,
}
