"""The reference pages beside this module, made of what the code says of itself: layers, solver settings, commands.

`python -m netforge.reference` writes them anew; a test fails when they no longer say what the code does.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
COMMAND = "python -m netforge.reference"


def pages() -> dict[str, str]:
    """The file names of the pages and their text, without layers of plugins that happen to be installed."""
    import netforge.layers
    from netforge.cli.layer_pages import layers_page
    from netforge.reference.commands import commands_page
    from netforge.reference.solvers import solvers_page

    registry = netforge.layers.LAYERS
    built_in = [registry[name] for name in registry if registry[name].__module__.startswith("netforge.")]
    return {"layers.md": layers_page(built_in), "solvers.md": solvers_page(), "commands.md": commands_page()}


def write_pages(folder: Path = FOLDER) -> None:
    """Write the pages into a folder."""
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
