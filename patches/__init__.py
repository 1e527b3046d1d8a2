"""Puts the fork's lines into an installed LiteLLM, and takes them out again without a trace.

`python -m patches --help` is the command; the functions below are the same thing for scripts.
Standard library only, Python 3.10 or newer: this package also runs inside other people's images.
"""

from patches.apply import apply_patches, revert_patches
from patches.catalogue import PATCHES
from patches.errors import AnchorError, PatchError
from patches.locate import Target, find_target, open_target
from patches.plan import Plan, Step, plan_apply, plan_revert
from patches.status import describe_status
from patches.survey import Survey, survey_tree
from patches.tree import Tree, read_own_files, read_tree
from patches.unified import unified_diff_of
from patches.upstream import describe_release

__all__ = [
    "PATCHES",
    "AnchorError",
    "PatchError",
    "Plan",
    "Step",
    "Survey",
    "Target",
    "Tree",
    "apply_patches",
    "describe_release",
    "describe_status",
    "find_target",
    "open_target",
    "plan_apply",
    "plan_revert",
    "read_own_files",
    "read_tree",
    "revert_patches",
    "survey_tree",
    "unified_diff_of",
]
