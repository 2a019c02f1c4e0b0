"""Where the bytes of an upload lie until it is whole: apart from the files, so that those of one key are found without
looking through all that arrived on the same day.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from async_uploads.storage.byte_copies import PART_SUFFIX

FOLDER = ".parts"


class Parts:
    """The unfinished files of one upload. Several transfers may have begun one each; only chance tells them apart.

    They lie in one of 256 folders, chosen by the upload's name, with those of the few others that are on their way.
    ``root``: the folder of the temporary files, on whose file system they have to be. Both paths are absolute.
    """

    def __init__(self, root: str, path: str) -> None:
        name = os.fsencode(path.removeprefix(root))
        self._digest = sha256(name).hexdigest()[:32]
        self.folder: str = os.path.join(root, FOLDER, self._digest[:2])

    def new(self) -> Path:
        """A name that nobody can guess."""
        return Path(self.folder, f"{self._digest}.{token_hex(8)}{PART_SUFFIX}")

    def left(self) -> list[Path]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return [Path(self.folder, name) for name in names if name.startswith(f"{self._digest}.")]
