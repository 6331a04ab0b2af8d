"""Checksums of batches."""

import zlib
from typing import Any

import torch

from steplens.record.nested import tensors_in

FULL = 1 << 18  # elements of a batch whose every bit goes into its digest; of larger ones a sample


def digest_of(batch: Any, far: bool = False) -> str:
    """A checksum of a batch's tensors in main memory, '' for one that has none. With ``far`` those
    on a GPU are read, too, which waits for it."""
    sums: list[int] = []
    for tensor in list(tensors_in(batch))[:8]:
        known = tensor.is_cpu or (far and tensor.is_cuda)
        if not known or tensor.layout != torch.strided or not tensor.numel():
            continue
        flat = tensor.detach().reshape(-1)
        if flat.numel() > FULL:
            flat = flat[:: flat.numel() // FULL + 1]
        raw = flat.contiguous().view(torch.uint8) if flat.dtype != torch.bool else flat.byte()
        sums.append(zlib.crc32(raw.cpu().numpy().tobytes(), len(sums)))
    return "-".join(f"{one:08x}" for one in sums)
