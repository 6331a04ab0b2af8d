"""Which modules act differently in train and in eval mode."""

import weakref

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

# Modules whose own forward called a functional dropout (p > 0) with their training flag, and layers
# of the program's own that read their flag and drew random numbers.
_followers: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()


def keeps_statistics(module: nn.Module) -> bool:
    """Whether the module keeps running statistics that a forward in train mode moves."""
    return (
        isinstance(module, _NormBase)
        and module.track_running_stats
        and module.running_mean is not None
        and module.momentum != 0
    )


def drops(module: nn.Module) -> bool:
    """Whether the module is one of torch's dropouts."""
    return isinstance(module, _DropoutNd)


def depends_on_mode(module: nn.Module) -> bool:
    """Whether output or buffers of this module itself depend on ``training``: dropout with p > 0,
    norms with running statistics, recurrent nets and attention with dropout, randomised ReLU, and
    modules seen to hand their flag to a functional dropout."""
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.RReLU):
        return module.lower != module.upper
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0 and module.num_layers > 1
    if isinstance(module, nn.MultiheadAttention):
        return module.dropout > 0
    return keeps_statistics(module) or module in _followers


def follows(module: nn.Module, flag: bool) -> bool:
    """Note that a module's functional dropout was told ``flag``; whether that made it
    mode-sensitive just now."""
    if flag != module.training:
        _followers.discard(module)
        return False
    known = module in _followers
    _followers.add(module)
    return not known


def rolls(module: nn.Module) -> None:
    """Note that a layer of the program's own draws random numbers in train mode."""
    _followers.add(module)
