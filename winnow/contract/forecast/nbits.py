"""How weights of few bits lie in a file: what the writer and the forecast agree on."""

from typing import Final

from winnow.contract.steps.weights import WeightOnly

LARGEST_BLOCK: Final = {2: 256, 3: 4096, 4: 4096, 8: 4096}
SMALLEST_BLOCK: Final = 16
UNPACKING_BYTES: Final = 2000
"""What the nodes that expand planes take in the file, about: small layers have their 2 or 3 bits in 4."""


def bits_of(step: WeightOnly, *, table: bool, head: bool) -> int:
    """Of a weight: its own where it is a table or an output head's, and of one that is both the more of both."""
    own = [step.embedding_bits if table else None, step.head_bits if head else None]
    return max((bits for bits in own if bits is not None), default=step.bits)


def width(bits: int) -> int:
    """Bits that the operators read: there are none of 3."""
    return 4 if bits == 3 else bits


def stored_block(inner: int, block: int, bits: int) -> int:
    """Choose the block that the operators are given, a power of two: the one asked for, or, where a whole channel
    shares a scale or the operators have none so large, the one that takes the fewest bytes."""
    largest = min(LARGEST_BLOCK[bits], 1 << max(0, inner - 1).bit_length())
    sizes = [size for size in (1 << k for k in range(4, 13)) if size <= max(largest, SMALLEST_BLOCK)]
    if block in sizes:
        return block
    fitting = [size for size in sizes if block >= inner or block % size == 0]
    return min(fitting, key=lambda size: -(-inner // size) * (size * width(bits) / 8 + 5))


def has_whole_blocks(inner: int, block: int, bits: int) -> bool:
    """Whether rows of so many inputs are whole blocks, as those of a table have to be that a product reads too."""
    return inner % stored_block(inner, min(block or inner, inner), bits) == 0


def saves_as_planes(numbers: float, bits: int) -> bool:
    """Whether the file gets smaller as planes where no type has so few bits."""
    return bits < 4 and numbers * (4 - bits) > 8 * UNPACKING_BYTES
