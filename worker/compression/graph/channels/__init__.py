"""Channels of an ONNX graph: which can be cut, in what groups, and cutting them."""

from worker.compression.graph.channels.account import Channel, Group, Groups, Part, Pinned, describe
from worker.compression.graph.channels.cuttable import WHOLE_HEADS, Cuttable
from worker.compression.graph.channels.forecast import Forecast
from worker.compression.graph.channels.groups import channel_groups
from worker.compression.graph.channels.surgery import cut

__all__ = [
    "WHOLE_HEADS",
    "Channel",
    "Cuttable",
    "Forecast",
    "Group",
    "Groups",
    "Part",
    "Pinned",
    "channel_groups",
    "cut",
    "describe",
]
