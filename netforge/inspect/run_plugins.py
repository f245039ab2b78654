"""The plugins that a run was begun with: whoever reads its net again needs their layers too."""

from __future__ import annotations

import sys
from pathlib import Path

from netforge.inspect.run import Run
from netforge.registry import load_plugin


def import_plugins(run: Run) -> dict[str, str]:
    """Import the modules that `--plugin` or `Solver(plugins=...)` named, and give the file of each by its name.

    They are looked for as the run did: in its folder first. Those that prototxt files name are no matter of this: they
    are imported where the files are read. Raises PluginError for one that cannot be imported.
    """
    for module in run.plugins:
        load_plugin(module, beside=Path(run.folder) if run.folder else None)
    return {module: getattr(sys.modules.get(module), "__file__", None) or "built in" for module in run.plugins}
