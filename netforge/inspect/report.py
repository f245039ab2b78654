"""The report of a run: one page with everything that its log tells, and what its files can show.

`report_page(load_run("runs/siamese_digits"))` is the text of the page. What cannot be shown, for a file that
is gone, a source that cannot be opened, a net without a convolution, says so in its place.
"""

from __future__ import annotations

from netforge.device.base import Device
from netforge.inspect import embedding_page
from netforge.inspect.page import Html, page
from netforge.inspect.report_log import (
    command_card,
    curve_cards,
    notice_card,
    query_cards,
    result_card,
    source_card,
)
from netforge.inspect.report_model import Model, cards_of_model
from netforge.inspect.run import Run
from netforge.inspect.run_text import started
from netforge.inspect.runs import with_earlier


def report_page(run: Run, *, full: bool = True, device: str | Device = "cpu") -> str:
    """The page of a run.

    full: also what takes forward passes: confusions, worst mistakes, embeddings of test images, time per layer; at most
    1,000 images are run, on `device`. Without it the page names the command that shows them.
    """
    with Model(run, device) as model:
        cards: list[Html] = [result_card(run), command_card(run), *curve_cards(with_earlier(run))]
        cards += query_cards(run, model.class_names)
        if run.notices:
            cards.append(notice_card(run))
        cards += cards_of_model(model, full=full)
    cards.append(source_card(run))
    return page(
        run.name,
        *cards,
        subtitle=f"{run.source}, {started(run)}",
        styles=embedding_page.STYLES,
        scripts=[embedding_page.SCRIPT],
    )
