"""Content with a known hash: 1 MiB pieces, each different, so that a lost, doubled or moved piece changes the hash."""

import hashlib
import random

PIECE = 1 << 20


def write(path, size):
    """Write `size` bytes and return their SHA-256."""
    base = random.Random(20240229).randbytes(PIECE)
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        for number in range(0, -(-size // PIECE)):
            turn = (number * 4099) % PIECE
            piece = (base[turn:] + base[:turn])[: min(PIECE, size - number * PIECE)]
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()
