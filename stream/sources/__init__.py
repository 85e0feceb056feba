"""Sources of frames: folders of images, stacks and raw arrays, each iterated as frames with pixels and masks."""

from stream.sources.acquisition import Acquisition
from stream.sources.base import Source, SourceFrame
from stream.sources.image_folder import ImageFolder, MaskReader, map_mask, threshold_mask
from stream.sources.opening import open_source
from stream.sources.raw_array import RawArray
from stream.sources.tiff_stack import TiffStack

__all__ = [
    "Acquisition",
    "ImageFolder",
    "MaskReader",
    "RawArray",
    "Source",
    "SourceFrame",
    "TiffStack",
    "map_mask",
    "open_source",
    "threshold_mask",
]
