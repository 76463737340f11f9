"""Texts that a PNG holds beside its picture, without a library for pictures.

Source: the PNG specification, chunks tEXt, zTXt and iTXt.
"""

import zlib
from collections.abc import Sequence
from io import BufferedReader

from dagrec_cli.data.readers.json_records import CHUNK, LARGEST

PNG = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def png_text(file: BufferedReader, keywords: Sequence[bytes]) -> bytes:
    """Return a text that a PNG holds, in UTF-8, empty if there is none or it is broken.

    No other text is kept, and none but this one unpacked: a packed one may be 1,000 times as long.

    Parameters
    ----------
    file
        At its beginning.
    keywords
        Names of the text; the first that the picture has is taken.

    Returns
    -------
    bytes
        At most one more than :data:`LARGEST`, or twice that if it is in Latin-1.
    """
    texts: dict[bytes, tuple[bytes, bytes]] = {}
    file.read(len(PNG))
    while len(header := file.read(8)) == 8:
        left = int.from_bytes(header[:4]) + 4  # a checksum follows
        if header[4:] in TEXTS and left <= LARGEST:
            keyword, _, text = file.read(left)[:-4].partition(b"\0")
            if keyword in keywords:
                texts.setdefault(keyword, (header[4:], text))
        else:
            while left and (piece := file.read(min(left, CHUNK))):
                left -= len(piece)
    return next((_unpacked(*texts[keyword]) for keyword in keywords if keyword in texts), b"")


def _unpacked(kind: bytes, text: bytes) -> bytes:
    """Return the UTF-8 behind the keyword of a text chunk; empty if it is broken."""
    is_packed = kind == b"zTXt"
    if kind == b"iTXt":  # flag, method, language, translated keyword, text
        is_packed, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
    elif is_packed:
        text = text[1:]  # behind the method
    if is_packed:
        try:
            text = zlib.decompressobj().decompress(text, LARGEST + 1)
        except zlib.error:
            return b""
    return text if kind == b"iTXt" else text.decode("latin-1").encode()
