"""How much room a machine has."""

import torch


def free_bytes(device: torch.device) -> int:
    """Return how many bytes tensors may still take on a GPU.

    torch keeps what tensors have left, and the driver counts that as taken: without it, what ran
    before would decide what fits now.
    """
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def lacking(error: BaseException) -> bool:
    """Return whether an error says that memory did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # On a CPU torch knows no class for it.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
