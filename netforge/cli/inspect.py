"""`netforge inspect`: look into a trained net: its embeddings, weights, activations, gradients and mistakes."""

from __future__ import annotations

import click

from netforge.cli.inspect_embeddings import embeddings


@click.group()
def inspect() -> None:
    """Look into a net: embeddings, weights, activations, gradients, mistakes.

    Each writes a page that needs no network, or a picture with --png.
    """


inspect.add_command(embeddings)
