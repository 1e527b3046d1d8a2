"""Puts the fork's lines into an installed LiteLLM, and takes them out again without a trace.

`python -m patches --help` is the command; the functions below are the same thing for scripts. Standard library only
(but for `purge` and `erase`, which use redis-py), Python 3.10 or newer: it also runs inside other people's images.

To read it: patch.py says what a patch is, catalogue.txt has them, and needs.txt what else the fork uses of LiteLLM;
catalogue.py and needs.py read these, tried.py reads which releases were tried. edits.py makes new texts of them, by
anchors.py (where), blocks.py (the marked lines) and source.py. manifest.py is what is known of an earlier run, own.py
what this one brings; tree.py reads a target, survey.py judges it, plan.py lists the steps, apply.py carries them out
and proves them; rights.py and bytecode.py say what would be in its way.
purge.py and erase.py go to Redis by reach.py, ask.py to a proxy. commands.py and cli.py are what people type.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036  # this file and __main__.py are read by older ones, too
    sys.exit("error: this needs Python 3.10 or newer; this one is %d.%d" % sys.version_info[:2])  # noqa: UP031

from patches.apply import apply_patches, revert_patches
from patches.catalogue import PATCHES
from patches.describe import describe_status
from patches.errors import PatchError
from patches.facts import describe_release, facts_of
from patches.locate import Target, open_target
from patches.own import read_fork_version, read_own_files
from patches.plan import plan_apply, plan_revert
from patches.survey import Survey, look_at

__all__ = [
    "PATCHES",
    "PatchError",
    "Survey",
    "Target",
    "apply_patches",
    "describe_release",
    "describe_status",
    "facts_of",
    "look_at",
    "open_target",
    "plan_apply",
    "plan_revert",
    "read_fork_version",
    "read_own_files",
    "revert_patches",
]
