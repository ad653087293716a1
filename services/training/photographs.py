"""Photographs of a folder, read when they are needed."""

from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.errors import SubprobeError

_SUFFIXES = (".jpg", ".jpeg", ".png")
_KEPT_BYTES = 512 * 2**20  # about 180 pictures of DIV2K, one byte a pixel


class PhotographError(SubprobeError):
    """A folder of photographs, or one of them, cannot be used."""


class ImageFolder:
    """Grey pictures below a folder, by number, in the order of their paths; the last ones read stay in memory.

    Args:
        folder: with .jpg or .png files anywhere below.

    Raises:
        PhotographError: there are none.
    """

    def __init__(self, folder: Path) -> None:
        self._files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not self._files:
            raise PhotographError(f"no .jpg or .png below {folder}: pass a folder of photographs")
        listed = "\n".join(f"{path.relative_to(folder)} {path.stat().st_size}" for path in self._files)
        digest = sha256(listed.encode()).hexdigest()[:16]
        self.description = (
            f"{len(self._files)} photographs of {folder.resolve().name} (names and sizes: {digest}), under the licence "
            "of their authors"
        )
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """(y, x) between 0 and 1.

        Raises:
            PhotographError: the file is no picture.
        """
        if index in self._kept:
            self._kept.move_to_end(index)
        else:
            self._keep(index, self._read(self._files[index]))
        return np.asarray(self._kept[index] / np.float32(255), np.float32)

    @staticmethod
    def _read(path: Path) -> NDArray[np.uint8]:
        try:
            with Image.open(path) as picture:
                return np.asarray(picture.convert("L"))
        except OSError as error:
            raise PhotographError(f"{path} is no picture that can be read ({error}): remove or mend it") from error

    def _keep(self, index: int, picture: NDArray[np.uint8]) -> None:
        self._kept[index] = picture
        self._kept_bytes += picture.nbytes
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
