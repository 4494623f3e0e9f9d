"""The entries that laws of pictures speak of; each other modality has its laws in a file of its own."""

from lab.modalities.images import Pictures
from lab.options.catalogue import entries


def of_pictures(kind):
    """Those of a kind that take pictures, by name: what names no modality takes inputs of any."""
    return {name: entry for name, entry in entries(kind).items() if getattr(entry, "modality", "") in ("", Pictures.name)}
