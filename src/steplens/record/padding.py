"""Probe of an attention's masks: whether it is shown the padding, and none of the tokens; whether
it adds what was to leave out."""

import weakref
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from steplens.model.event import Padded, Summed
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.functions import RUNNING
from steplens.record.masks import mask_line
from steplens.record.norms import dense
from steplens.record.silence import unheard
from steplens.record.wrap import overhear

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 1_000_000  # elements of a mask or of tokens that are read
KEPT = 8  # tensors that may be the tokens of a mask
TRIES = 8  # masks of one line that are read
MASK = 3  # place of the mask among the arguments of `scaled_dot_product_attention`
TIMES = 2  # steps at which it is so


class Padding:
    """The tensors that may hold the tokens a mask is about, and what the masks of each line showed:
    the steps at which they hid all but the padding."""

    def __init__(self) -> None:
        self.tokens = Newest[int, weakref.ref[torch.Tensor]](KEPT)
        self.left: dict[Site | None, int] = {}  # line -> masks that may still be read
        self.steps: dict[Site | None, set[int]] = {}
        self.sums: dict[Site | None, int] = {}  # line -> masks of numbers that may still be read

    def adds(self, recorder: "Recorder", mask: torch.Tensor) -> None:
        """An attention was given a mask: one of numbers is added to its scores."""
        site = recorder.site()
        left = self.sums.get(site, TRIES)
        if left <= 0 or not 1 < mask.numel() <= MOST or not dense(mask):
            return
        with recorder.quiet(), torch.no_grad():
            mask = mask.detach()
            zeros, ones = int((mask == 0).sum()), int((mask == 1).sum())
        told = zeros > 0 and ones > 0 and zeros + ones == mask.numel()
        self.sums[site] = 0 if told else left - 1
        if told:
            recorder.emit(Summed(recorder.index(), recorder.step, site, zeros, ones))

    def given(self, tensors: Iterable[torch.Tensor]) -> None:
        """What a forward was given, or an embedding."""
        for tensor in tensors:
            whole = not (tensor.is_floating_point() or tensor.is_complex())
            if tensor.dtype != torch.bool and tensor.dim() == (2 if whole else 3):
                self.tokens.pop(id(tensor), None)
                self.tokens[id(tensor)] = weakref.ref(tensor)

    def hides(self, recorder: "Recorder", mask: torch.Tensor) -> None:
        """An attention was given a mask of [batch, tokens]; True, or -inf, hides a token."""
        site = recorder.site()
        left = self.left.get(site, TRIES)
        if left <= 0 or recorder.step in self.steps.get(site, ()):
            return
        with recorder.quiet(), torch.no_grad():
            mask = mask.detach()
            hidden = mask if mask.dtype == torch.bool else mask == -inf
            known = [tensor for ref in self.tokens.values() if (tensor := ref()) is not None]
            found = next(filter(None, (_shown(tensor, hidden) for tensor in known)), None)
        self.left[site] = left - 1
        if found is None:
            self.left[site] = 0 if self.steps.get(site) else left - 1
            return
        steps = self.steps.setdefault(site, set())
        steps.add(recorder.step)
        if len(steps) == TIMES:
            self.left[site] = 0
            at = recorder.index(), recorder.step, site
            recorder.emit(Padded(*at, *found, mask_line(recorder.places)))


def _shown(tensor: torch.Tensor, hidden: torch.Tensor) -> tuple[int, int, int, float] | None:
    """Of a mask that hides exactly the tokens which are not one and the same: how many it hides,
    how many different ones, how many it shows, and which one. What it shows must be the end of each
    row, or the beginning, and not of one length: padding."""
    tensor = tensor.detach()
    if tensor.shape[:2] != hidden.shape:
        tensor = tensor.transpose(0, 1)
    if tensor.shape[:2] != hidden.shape or tensor.is_meta or tensor.numel() > MOST:
        return None
    shown = ~hidden
    counts = shown.sum(1)
    if not bool(shown.any()) or not bool(hidden.any()) or int(counts.min()) == int(counts.max()):
        return None
    places = torch.arange(hidden.shape[1], device=hidden.device)
    ends = shown == (places >= (hidden.shape[1] - counts).unsqueeze(1))
    if not bool(ends.all()) and not bool((shown == (places < counts.unsqueeze(1))).all()):
        return None
    one = tensor[shown][0]
    same = tensor == one
    if not torch.equal(same.all(-1) if tensor.dim() == 3 else same, shown):
        return None
    kinds = len(torch.unique(tensor[hidden], dim=0))
    value = float(one.flatten()[0])
    return (int(hidden.sum()), kinds, int(shown.sum()), value) if kinds > 1 else None


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear torch's embeddings, for their tokens, and its attention, for its padding mask."""

    @unheard
    def tokens(_: Any, *args: Any, **kwargs: Any) -> None:
        given = args[0] if args else kwargs.get("input")
        if isinstance(given, torch.Tensor):
            recorder.padding.given((given,))

    @unheard
    def attention(
        _: Any,
        query: Any,
        *__: Any,
        key_padding_mask: Any = None,
        attn_mask: Any = None,
        **___: Any,
    ) -> None:
        if RUNNING.stack and isinstance(query, torch.Tensor):
            recorder.positions.attended(recorder, RUNNING.stack[-1], query)
        mask = key_padding_mask
        if isinstance(mask, torch.Tensor) and mask.dim() == 2 and 0 < mask.numel() <= MOST:
            recorder.padding.hides(recorder, mask)
        added(mask)
        added(attn_mask)

    def added(mask: Any) -> None:
        numbers = isinstance(mask, torch.Tensor) and mask.is_floating_point()
        if numbers and not mask.requires_grad and RUNNING.stack:
            recorder.padding.adds(recorder, mask)

    @unheard
    def products(_: Any, *args: Any, attn_mask: Any = None, **__: Any) -> None:
        added(args[MASK] if len(args) > MASK else attn_mask)

    def due() -> bool:
        return recorder.cadence.looking

    return [
        overhear(recorder, "padding", functional, "embedding", due, tokens),
        overhear(recorder, "padding", functional, "multi_head_attention_forward", due, attention),
        overhear(recorder, "padding", functional, "scaled_dot_product_attention", due, products),
    ]
