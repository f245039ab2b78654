"""Where netforge keeps what belongs to the user rather than to a project: the image database and its cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME_VARIABLE = "NETFORGE_HOME"


def home_folder() -> Path:
    """$NETFORGE_HOME, or the folder for user data of this platform; the folder need not exist."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "netforge"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "netforge"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "netforge"


def database_path() -> Path:
    """The image database that is used where no other is named."""
    return home_folder() / "images.db"
