"""`netforge inspect confusion`: which classes are taken for which, with their images."""

from __future__ import annotations

import click

from netforge.cli.options import CaffeCommand, output_options
from netforge.cli.recognition import (
    NetOptions,
    centroids_option,
    images_options,
    open_embedder,
    open_recognizer,
    open_sources,
    parse_threshold,
    percent,
    refusing_option,
    trained_run_options,
)
from netforge.cli.screen import image_bar
from netforge.cli.targets import Targets, target_options, write_html, write_png


@click.command("confusion", cls=CaffeCommand)
@trained_run_options
@images_options
@centroids_option
@refusing_option
@target_options
@output_options
def confusion(
    trained: NetOptions,
    sources: tuple[str, ...],
    labels: str | None,
    count: int | None,
    seed: int,
    centroids: str | None,
    threshold: str | None,
    targets: Targets,
) -> None:
    """Show which classes are taken for which; a click on a cell of the page shows its images.

    RUN is a run whose net and newest weights are taken (its folder, its log or the prefix of its snapshots); or give
    --model and --weights. `netforge test-many` prints the same as text.
    """
    from netforge.inspect.confusion import confusion_page
    from netforge.recognition import choose_images, recognize_labelled
    from netforge.recognition.confusion_sheet import draw_confusion

    targets = targets.or_default("net.confusion")
    with open_embedder(trained) as embedder:
        images = choose_images(open_sources(sources), labels=labels, count=count, seed=seed)
        recognizer = open_recognizer(embedder, centroids)
        with image_bar(images.count) as progress:
            limit = parse_threshold(threshold, recognizer)
            outcome = recognize_labelled(recognizer, images, threshold=limit, progress=progress)
        title = f"{embedder.net.name or 'net'} on {images.name}"
        click.echo(f"accuracy: {percent(outcome.accuracy)} ({int((~outcome.right).sum()):,} wrong)")
        write_html(targets.html, lambda: confusion_page(outcome, title))
        write_png(targets.png, lambda: draw_confusion(outcome, title))
