"""Where programs compute: on the processor, or on a GPU.

A model goes to a GPU in one piece. The data section of its file is copied into page-locked memory, from which the GPU
fetches it by itself, and all tensors are views of what arrives there, as they are views of the file on the processor.

On both a program computes in the precision that it was exported for. PyTorch would use TensorFloat-32 for convolutions
on a GPU, which has 10 bits of a float32's 23. Sums are added up in another order, so that answers agree to about 1e-4
of their size, not to the last bit.
"""

import torch
from torch import Tensor

from flstore_core.errors import InvalidParameters

CPU = torch.device("cpu")


def begin(name: str) -> torch.device:
    """Return a device that has computed once, so that its libraries are loaded.

    Args:
        name: of `torch.device`.

    Raises:
        InvalidParameters: if this PyTorch or this machine has none.
    """
    device = torch.device(name)
    if device == CPU:
        return CPU
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        images = torch.ones(1, 1, 4, 4, device=device)
        edges = torch.conv2d(images, torch.ones(2, 1, 3, 3, device=device)).flatten(1)
        torch.linalg.vector_norm(edges @ torch.ones(8, 3, device=device)).cpu()
    except (AssertionError, RuntimeError) as error:
        raise InvalidParameters(f"PyTorch {torch.__version__} cannot compute on {name}: {error!s:.300}") from error
    return device


def place(flat: Tensor, device: torch.device) -> Tensor:
    """Return bytes on a device; on the processor they are not copied.

    Args:
        flat: uint8, of the processor's memory.
    """
    if device == CPU:
        return flat
    if device.type == "cuda":
        flat = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True).copy_(flat)
    return flat.to(device, non_blocking=True)
