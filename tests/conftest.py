"""Shared fixtures: a home of its own for every test, and the folders of known answers and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

settings.register_profile("suite", deadline=None, derandomize=True)  # the same examples every time, however slow
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def netforge_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh NETFORGE_HOME, so that no test reads or writes the user's image database."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NETFORGE_HOME", str(home))
    return home


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20261121)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of numbers computed by the original Caffe; skips where a checkout has none."""
    folder = SHARED / "golden" / "open"
    if not folder.is_dir():
        pytest.skip("the numbers computed by the original Caffe are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def image_data() -> Path:
    """The folder of real images; skips where a checkout has none."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real images is not beside this checkout")
    return folder
