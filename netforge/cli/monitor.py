"""`netforge monitor`: the page of a run while it trains."""

from __future__ import annotations

from contextlib import suppress

import click

from netforge.cli.options import CaffeCommand
from netforge.errors import DataError


@click.command(cls=CaffeCommand)
@click.argument("run", required=False)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=6446,
    show_default=True,
    metavar="N",
    help="Where to serve the page on this computer; 0 takes any free port.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
def monitor(run: str | None, port: int, open_browser: bool) -> None:
    """Show a run in the browser while it trains: the page of `netforge report` with curves that move.

    RUN is given as for `netforge report`, and of several runs the newest is shown: one that goes on from a snapshot
    takes the place of the one before it, with its curves. Without RUN it is the newest run under ./runs, which need not
    have begun yet.

    Only the log of the run is read: training is not slowed, may run anywhere that writes to a disk you can read, and
    may be over. The page is served to this computer alone and cannot change anything. Ctrl-C ends it.
    """
    from netforge.inspect.follow import RUNS
    from netforge.inspect.live import LiveRun
    from netforge.inspect.live_server import MonitorServer
    from netforge.inspect.runs import find_run, load_run

    waits = False
    try:
        shown = str(find_run(RUNS) if run is None else load_run(run).path)
    except DataError:
        if run is not None:
            raise
        shown, waits = f"the first run under {RUNS}", True
    with MonitorServer(LiveRun(run), port) as server:
        click.echo(f"monitor: {server.url} shows {shown}; Ctrl-C ends it")
        if waits:
            click.echo(f"note: there is no run under {RUNS} yet; the page waits for one", err=True)
        if open_browser:
            click.launch(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
