"""Bitcoin's main network: its rules, and the header checkpoint of a new trust file whose maker names no other.

The checkpoint is the first block of a period, so retargets can be checked from there on. Its header stands here whole:
nobody needs to believe the height and hash, since the header shows its own work.
"""

import base64

from ledger.anchors.headers import Checkpoint, Rules, compact, parse_header, target

CHECKPOINT_HEADER = base64.b64decode(
    "BAAAIAUM5S7NI+LY9vmR2n7DEoF++ykWdRwOAAAAAAAAAAAANxz2UOzkk/8T6/UOtTEFFX898HxJt3uELuaEuvA1LlG3j1thMiYOF4Li6QQ="
)
"""Block 703,584 of 2021-10-04."""
CHECKPOINT = Checkpoint(
    height=703_584,
    hash=parse_header(CHECKPOINT_HEADER).hash,
    # Work has grown several times over since then; a quarter of it is what a forger would have to show seven times.
    rules=Rules(limit=0x1D00FFFF, floor=compact(4 * target(parse_header(CHECKPOINT_HEADER).bits))),
)
