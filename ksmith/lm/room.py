"""How much room a GPU has."""

import torch


def free_bytes(device: torch.device) -> int:
    """Return how many bytes tensors may still take on a GPU.

    torch keeps what tensors have left, and the driver counts that as taken: without it, what ran
    before would decide what fits now.
    """
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
