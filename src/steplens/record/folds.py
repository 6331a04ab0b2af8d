"""Folds: whether a model that is judged on one part of a dataset was trained on it before, as one
is that goes on from fold to fold of a cross-validation, or whose data are split anew in each
epoch."""

import ast
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Subset, SubsetRandomSampler

from steplens.model.event import Refolded
from steplens.model.site import Site
from steplens.record.norms import readable
from steplens.record.places import Places
from steplens.record.settings import codes_of, lines_of, only
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 1_000_000  # samples of a part
PASSES = 4  # trained, judged, and both again on other parts
TENSORS = 64  # of which a few elements tell whether they have changed
ELEMENTS = 8
TIMES = 1  # told once
SPLIT = "random_split"

Stamp = dict[int, tuple[float, ...]]


class Part:
    """A pass over a part of a dataset, and what the parameters were when it began."""

    __slots__ = ("root", "indices", "stamp")

    def __init__(self, root: Any, indices: frozenset[int], stamp: Stamp) -> None:
        self.root = weakref.ref(root)
        self.indices = indices
        self.stamp = stamp

    def same(self, other: "Part") -> bool:
        """Whether the other is of the same samples."""
        return self.root() is other.root() and self.indices == other.indices


class Folds:
    """The newest passes in order: trained and judged parts of the fold before, and of this one."""

    def __init__(self) -> None:
        self.passes: list[Part] = []
        self.left = TIMES

    def begins(self, recorder: "Recorder", loader: Any) -> None:
        """A DataLoader's pass begins."""
        if self.left <= 0:
            return
        found = _part(loader)
        if found is None:
            return
        with recorder.quiet(), torch.no_grad():
            part = Part(*found, _stamp(recorder))
        passes = self.passes
        if passes and part.same(passes[-1]):
            return  # another epoch: where the first one began stays
        if len(passes) > 1 and part.same(passes[-2]):
            del passes[-2]  # the next of epochs that are judged each
        passes.append(part)
        del passes[:-PASSES]
        if len(passes) == PASSES:
            self._judge(recorder, *passes)

    def _judge(
        self, recorder: "Recorder", trained: Part, judged: Part, again: Part, now: Part
    ) -> None:
        root = now.root()
        if root is None or any(each.root() is not root for each in (trained, judged, again)):
            return
        one, two, three, four = (each.indices for each in (trained, judged, again, now))
        if one & two or three & four or one | two != three | four:
            return
        anew = not four <= one  # split at random again, not dealt out in turn
        if anew and not (four & one and len(one) == len(three)):
            return
        moved = _changed(trained, judged) & _changed(again, now)
        if not moved or moved & _changed(judged, again) or not _known(judged, again, moved):
            return
        self.left -= 1
        owner = recorder.roster.tensors[min(moved)].root
        entry = recorder.roster.modules.get(owner)
        made = entry.site if entry is not None else None
        recorder.emit(
            Refolded(
                recorder.index(),
                recorder.step,
                recorder.site(),
                owner,
                len(four),
                len(four & one),
                len(moved),
                _split(recorder.places) if anew else made,
                anew,
            )
        )


def _part(loader: Any) -> tuple[Any, frozenset[int]] | None:
    """The dataset that a loader reads some samples of, and which."""
    root, indices = loader.dataset, None
    sampler = getattr(loader, "sampler", None)
    if isinstance(root, Subset):
        root, indices = root.dataset, root.indices
    elif isinstance(sampler, SubsetRandomSampler):
        indices = sampler.indices
    if indices is None or isinstance(root, Subset) or not 0 < len(indices) <= MOST:
        return None
    try:
        weakref.ref(root)
        return root, frozenset(int(index) for index in indices)
    except (TypeError, ValueError):
        return None


def _split(places: Places) -> Site | None:
    """The one call of ``random_split`` in the user's code that has run."""
    sites: list[Site] = []
    for code in codes_of(places):
        if SPLIT in code.co_names:
            tree, lines = syntax_tree(code.co_filename), lines_of(code)
            sites += [
                places.line(code, node.lineno)
                for node in (ast.walk(tree) if tree is not None else ())
                if isinstance(node, ast.Call)
                and node.lineno in lines
                and ast.unparse(node.func).rpartition(".")[2] == SPLIT
            ]
    return only(sites)


def _stamp(recorder: "Recorder") -> Stamp:
    """A few elements of parameters that optimizers hold."""
    numbers = {
        number for optimizer in recorder.roster.optimizers.values() for number in optimizer.tensors
    }
    found: Stamp = {}
    for account in list(recorder.census.accounts.values()):
        tensor = account.ref() if account.number in numbers else None
        if tensor is not None and tensor.numel() and readable(tensor) and len(found) < TENSORS:
            values = tensor.detach().flatten()
            found[account.number] = tuple(values[:: -(-len(values) // ELEMENTS)].tolist())
    return found


def _changed(before: Part, after: Part) -> set[int]:
    common = before.stamp.keys() & after.stamp.keys()
    return {number for number in common if before.stamp[number] != after.stamp[number]}


def _known(before: Part, after: Part, numbers: set[int]) -> bool:
    return numbers <= before.stamp.keys() & after.stamp.keys()
