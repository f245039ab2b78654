"""A trained net with Decode, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recognition.helpers import DECODE, make_net


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path]:
    """The files of a net with Decode, and of its weights."""
    return make_net(tmp_path, DECODE)
