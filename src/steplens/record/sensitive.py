"""Which modules act differently in train and in eval mode."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd


def keeps_statistics(module: nn.Module) -> bool:
    """Whether the module keeps running statistics that a forward in train mode moves."""
    return (
        isinstance(module, _NormBase)
        and module.track_running_stats
        and module.running_mean is not None
        and module.momentum != 0
    )


def depends_on_mode(module: nn.Module) -> bool:
    """Whether output or buffers of this module itself depend on ``training``: dropout with p > 0,
    norms with running statistics, recurrent nets and attention with dropout, randomised ReLU."""
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.RReLU):
        return module.lower != module.upper
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0 and module.num_layers > 1
    if isinstance(module, nn.MultiheadAttention):
        return module.dropout > 0
    return keeps_statistics(module)
