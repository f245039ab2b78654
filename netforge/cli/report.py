"""`netforge report`: everything about one run as a page."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.options import (
    CaffeCommand,
    device_options,
    make_device,
    output_options,
)
from netforge.cli.runs import open_run
from netforge.cli.screen import bytes_text
from netforge.cli.targets import checked, target_option


@click.command(cls=CaffeCommand)
@click.argument("run")
@target_option("-o", "--out", text="The page; by default RUN.report.html beside the log.")
@click.option("--quick", is_flag=True, help="Leave out what takes forward passes, as `netforge train` does.")
@device_options
@output_options
def report(run: str, out: Path | None, quick: bool, device: str | None, gpu: str | None) -> None:
    """Write everything about a run as one HTML page that needs nothing else: open it, keep it, send it.

    RUN is a log file (PREFIX.TIME.log.jsonl), its name without the ending, a snapshot_prefix, a snapshot, or a folder
    of runs; of several runs the newest is taken.

    The page has the result, the command that repeats the run, curves of losses, scores and learning rate, label
    queries, notices, the net and its prototxt, and, as far as weights and sources are still there, filters, the map of
    embeddings, the confusion matrix, the worst mistakes and the time of each layer, by at most 1,000 test images.
    """
    from netforge.inspect.page import write_page
    from netforge.inspect.report import report_page
    from netforge.inspect.runs import page_of

    found = open_run(run)
    target = out or checked(page_of(found.path))
    text = report_page(found, full=not quick, device=make_device(device, gpu))
    path = write_page(target, text)
    click.echo(f"report: {path} ({bytes_text(path.stat().st_size)})")
