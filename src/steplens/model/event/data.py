"""Events of the data: batches, and samples and seeds that are not what they should be."""

from steplens.model.event.seen import Real, Seen
from steplens.model.site import Site

SAME_BATCHES = 3  # of each worker that are compared before an Alike tells of batches


class Batch(Seen, frozen=True, tag="batch"):
    """A DataLoader's pass: ``form`` is epoch (an iterator was made), batch, end, or cycled (after
    the end of a shuffling loader's first pass: an ``itertools.cycle`` holds its iterator, and gives
    the batches that it has kept again); ``loader`` numbers the DataLoader, ``count`` the pass or
    batch, at end and cycled the batches that the pass gave. ``left`` comes after an end that a call
    such as `next` came to: models in training were given the pass's last batch again since;
    ``made`` is where its `StopIteration` was caught.

    ``digest`` names the batch's content where it was looked at, ``shuffled`` says whether the
    sampler draws random numbers. A pass tells also of its dataset (``data``, numbered by identity,
    of ``samples``) and of the line that made the loader. ``order`` is the seed + epoch from which a
    DistributedSampler of several replicas shuffles it, -1 for any other sampler.
    """

    form: str
    loader: int
    count: int
    digest: str = ""
    shuffled: bool | None = None
    batches: int = -1  # batches in a pass, -1 unknown
    data: int = -1
    made: Site | None = None
    order: int = -1
    samples: int = -1  # of the dataset, -1 unknown


class Redraw(Seen, frozen=True, tag="redraw"):
    """A seed was set again to the same ``value`` at the same line (``how`` is the call), with steps
    of the same model in between, and by the first backward after it the same numbers had been drawn
    as after it was set at step ``earlier``; ``times`` counts the settings that drew alike. Or the
    same permutation was drawn again from a generator of the program's own. ``meant`` says that it
    may be: a layer set the seed, or it was such a permutation."""

    how: str
    value: int
    earlier: int
    times: int = 2
    meant: bool = False
    caller: Site | None = None  # the user's line that called the permutation's


class Apart(Seen, frozen=True, tag="apart"):
    """The ``wrapper``'s parameters that ``optimizer`` holds were not the same on rank ``other``
    after this rank's step number ``count``: they differed by ``distance`` at most, in a sample. Or
    ``tensors``, which the optimizer holds beside them and no wrapper: these were the same before
    the first step. ``wrapper`` is -1 where none holds what the optimizer steps, and the gradients
    were the same to the last bit: or ``tensors``, whose gradients were not, beside others that
    were, of models that began alike; or ``alone``, that the ranks launched nothing between the
    ``count`` steps of models that began alike, each on its part of a dataset. ``parted`` are the
    wrapper's parameters that differ, where others do not; ``late`` says that all of them were
    frozen before."""

    optimizer: int
    wrapper: int
    other: int
    count: int
    distance: Real = 0.0
    tensors: tuple[int, ...] = ()
    alone: bool = False
    parted: tuple[int, ...] = ()
    late: bool = False


class ReadAlike(Seen, frozen=True, tag="read-alike"):
    """Another rank (``other``) was given by its loader the very batches that this one was given:
    ``batches`` were compared, of ``passes`` passes, and not all of them were one. ``shard`` is the
    rank whose shard the loader's DistributedSampler was told to give, -1 without one. With
    ``seeds``, this rank's sampler and the other's shuffled by different ones, so that ``both``
    samples were in the parts of the two; no batches were compared. ``sampler`` is the line that
    made this rank's."""

    loader: int
    other: int
    batches: int
    passes: int
    shard: int = -1
    both: int = 0
    seeds: tuple[int, ...] = ()
    sampler: Site | None = None


class Alike(Seen, frozen=True, tag="alike"):
    """Two workers of a DataLoader whose generator ``what`` was in the same state before their first
    batch and in the same other state after it; or one worker (named twice), whose generator was in
    the same states in two passes that were trained on; or, where ``what`` is empty, that handed out
    the same first batches of an iterable dataset.

    ``made`` is where the loader was made, ``stored`` and ``drawn`` where the dataset's class keeps
    and uses the generator (or where its ``__iter__`` begins, and seeds one), ``seeded`` where
    ``worker_init_fn`` begins; ``iterable`` says that the dataset divides itself among its workers.
    """

    loader: int
    workers: tuple[int, int]
    what: str
    made: Site | None = None
    stored: Site | None = None
    drawn: Site | None = None
    seeded: Site | None = None
    iterable: bool = False


class Mixed(Seen, frozen=True, tag="mixed"):
    """One sample of a batch was changed, on a copy of the module in eval mode, and the outputs of
    ``rows`` others changed.

    ``op`` is the operation at which samples mix, ``where`` its line; ``form`` is view, sequence (an
    RNN or attention whose sequence is the batch), softmax, product, reduction or other;
    ``shuffled`` is the loader's, ``dims`` the number of dimensions of the input.
    """

    module: int
    batch: int
    rows: int
    op: str
    form: str
    where: Site | None = None
    shuffled: bool | None = None
    dims: int = 0


class Undrawn(Seen, frozen=True, tag="undrawn"):
    """A DataLoader's pass over ``samples`` whose WeightedRandomSampler has fewer ``weights``, one
    for each of the first so many samples: it draws none of the others. ``made`` is where the
    sampler was made."""

    loader: int
    weights: int
    samples: int
    made: Site | None = None


class Padded(Seen, frozen=True, tag="padded"):
    """An attention whose padding mask hides ``hidden`` tokens, of ``kinds`` kinds, and shows
    ``shown``, which end each row (or begin it) and are all ``value``: it sees the padding alone.
    ``made`` is the line that made the mask."""

    hidden: int
    kinds: int
    shown: int
    value: Real
    made: Site | None = None


class Spent(Seen, frozen=True, tag="spent"):
    """A loop that trains goes through ``name``, which the line ``made`` has bound to something that
    can be gone through once, in each round of a loop around it. Each of these rounds comes by the
    lines ``marks`` of the same file once."""

    name: str
    made: Site | None
    marks: tuple[int, ...] = ()


class Summed(Seen, frozen=True, tag="summed"):
    """An attention was given a mask of numbers, which it adds to its scores: ``zeros`` of them are
    0, and the ``ones`` are all of the others."""

    zeros: int
    ones: int


class Unmatched(Seen, frozen=True, tag="unmatched"):
    """The loss of pairs ``name``, which knows labels of -1 and 1, was given two batches of 0 and 1
    alone: ``count`` of the newest's ``of`` labels are 0."""

    name: str
    count: int
    of: int


class Positioned(Seen, frozen=True, tag="positioned"):
    """A ``module`` added row i of its table ``name`` to sample i of a batch, at each of its
    ``steps``, and an attention that takes the batch first was given what came of it."""

    module: int
    name: str
    batch: int
    steps: int
    where: Site | None = None


class Foreseen(Seen, frozen=True, tag="foreseen"):
    """The labels of a loss were the tokens that ``module`` was given, ``shift`` places later. With
    a shift of 1, its output at the first of ``steps`` places changed with the tokens after it, on a
    copy in eval mode, and ``where`` is the line at which it comes to depend on them. With none,
    each output depends on the tokens up to its place alone, and ``where`` is the loss's line."""

    module: int
    shift: int
    steps: int
    where: Site | None = None


class Refolded(Seen, frozen=True, tag="refolded"):
    """A pass began over ``held`` samples of a dataset, after ``tensors`` of ``module`` were trained
    on the rest of it; they had been trained before on ``known`` of these samples, with others held
    out, and kept their values in between. ``made`` is where the module was made; with ``anew``, the
    parts overlap as those of a dataset that is split at random again, and it is where that is."""

    module: int
    held: int
    known: int
    tensors: int
    made: Site | None = None
    anew: bool = False


class Rewritten(Seen, frozen=True, tag="rewritten"):
    """Reading a DataLoader's dataset wrote to its own data ``what`` again, in pass ``passes``,
    after an earlier pass that had written it too; ``where`` is the line that writes."""

    loader: int
    what: str
    passes: int
    where: Site | None = None
