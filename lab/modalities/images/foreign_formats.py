"""Pictures in formats that are not read here: each is called by its name, with the way to one that is."""

from __future__ import annotations

from lab.errors import LabError

_HEIC = "a HEIC picture"

_BRANDS = {
    _HEIC: (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"),
    "an AVIF picture": (b"avif", b"avis"),
}
"""Of picture files in an ISO container (ISO/IEC 14496-12): the names at bytes 8 to 11."""

_BEGINNINGS = {
    "a PDF document": (b"%PDF",),
    "a Photoshop picture": (b"8BPS",),
    "a JPEG 2000 picture": (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"),
    "a JPEG XL picture": (b"\x00\x00\x00\x0cJXL ", b"\xff\x0a"),
}

SUFFIXES = (".heic", ".heif", ".avif", ".svg", ".pdf", ".psd", ".jp2", ".jxl", ".dcm")
"""Endings of such files: a folder that holds nothing else is not simply empty."""


def foreign(data: bytes, what: str) -> LabError | None:
    """The error for a picture of a known kind that is not read; None where the kind is not known either."""
    kind = _kind(data)
    if kind is None:
        return None
    advice = "on an iPhone choose Settings, Camera, Formats, Most Compatible, or " if kind == _HEIC else ""
    return LabError(f"{what} is {kind}, which is not read here; {advice}save it as PNG or JPEG.")


def _kind(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        return next((kind for kind, brands in _BRANDS.items() if data[8:12] in brands), None)
    if data[128:132] == b"DICM":
        return "a DICOM picture"
    if b"<svg" in data[:2000].lower():
        return "an SVG drawing"
    return next((kind for kind, beginnings in _BEGINNINGS.items() if data.startswith(beginnings)), None)
