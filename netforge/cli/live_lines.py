"""Lines at the bottom of a terminal that are drawn anew in place, below everything that is printed meanwhile."""

from __future__ import annotations

import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

from rich.console import RenderHook
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType, Segment, Segments

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderResult

ERASE_BELOW = Segments([Segment("\r\x1b[J", None, [])])
"""Back to the start of the line, and erase from there to the end of the screen."""


class LiveLines(RenderHook):
    """Shows a renderable as the last lines of a console until it is stopped.

    Between two drawings the cursor waits where the lines begin, not where they end: a terminal that breaks lines anew
    when its window changes keeps the cursor with the text before it, so what is erased from there on is always just
    these lines. The content must not fill the last column.

    What Python code prints meanwhile, to either stream where that is a terminal, comes to stand above the lines.
    """

    def __init__(self, console: Console, content: RenderableType) -> None:
        self._console, self._content = console, content
        self._waits = True
        self._streams = ExitStack()

    def start(self) -> None:
        """Draw the lines, and keep them below from now on."""
        self._console.show_cursor(False)
        self._console.push_render_hook(self)
        self._streams.enter_context(redirect_stdout(FileProxy(self._console, sys.stdout)))
        if sys.stderr is not None and sys.stderr.isatty():
            self._streams.enter_context(redirect_stderr(FileProxy(self._console, sys.stderr)))
        self.refresh()

    def refresh(self) -> None:
        """Draw the lines anew."""
        self._console.print(Control())

    def stop(self) -> None:
        """Draw the lines a last time, and go on below them."""
        self._waits = False
        self.refresh()
        self._streams.close()
        self._console.pop_render_hook()
        self._console.line()
        self._console.show_cursor(True)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Put whatever is printed above the lines; rich calls this."""
        return [ERASE_BELOW, *renderables, self]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._content, options, pad=False)[: max(1, console.height - 1)]
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line
        if self._waits:
            yield Control(ControlType.CARRIAGE_RETURN, (ControlType.CURSOR_UP, len(lines) - 1))
