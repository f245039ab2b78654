"""The page about solver files: their fields, the update rules, the learning-rate policies."""

from __future__ import annotations

import inspect

from netforge.cli.layer_pages import settings_table
from netforge.cli.markdown import code, fence, link, quoted, table
from netforge.schema import describe_message
from netforge.solver.policies import POLICIES
from netforge.solver.rules import SOLVERS

FIELDS, RULES, POLICY = "Fields", "Update rules", "Learning-rate policies"

INTRODUCTION = f"""\
A solver file names a net and says how it learns. Below are the {link(RULES, "update rules")} that `type` chooses among,
the {link(POLICY, "policies")} of `lr_policy`, and {link(FIELDS, "every field")}. Paths are looked up from the current
folder, then from that of the solver file. `netforge train --set FIELD=VALUE` replaces a field for one run.
"""

EXAMPLE = """\
net: "models/siamese_digits/train_val.prototxt"
type: "Adam"
base_lr: 0.002
momentum: 0.9
lr_policy: "poly"                        # the rate falls in a line to 0 at max_iter
power: 1
max_iter: 1000
test_interval: 250
test_iter: 5                             # 5 batches of 100: all testing images
display: 100                             # a line in the log
snapshot: 500                            # weights and state, to go on from
snapshot_prefix: "runs/siamese_digits/siamese_digits"
random_seed: 1"""


def solvers_page() -> str:
    """The page as Markdown."""
    fields = describe_message("SolverParameter")
    names = {one.name for one in fields}
    parts = ["# Solvers", "", INTRODUCTION, *fence(EXAMPLE, "protobuf")]
    parts += [f"## {RULES}", ""]
    rules = [(code(name), quoted(_one_line(SOLVERS[name]), names - {"type"})) for name in SOLVERS]
    parts += table(("`type`", "what it does"), rules)
    parts += [f"## {POLICY}", ""]
    policies = [(code(name), quoted(_one_line(POLICIES[name]), names - {"power"})) for name in POLICIES]
    parts += table(("`lr_policy`", "the rate"), policies)
    parts += ["`warmup_iter` and `warmup_start` let the rate of any policy grow at the start.", ""]
    parts += [f"## {FIELDS}", "", *settings_table(fields, linked=False)]
    return "\n".join(parts)


def _one_line(thing: object) -> str:
    return " ".join(inspect.cleandoc(thing.__doc__ or "").split())
