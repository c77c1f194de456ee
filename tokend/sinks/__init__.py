"""Where tokens are pushed to, one file per kind. Sinks block, are all or nothing, and know nothing of each other."""

from collections.abc import Mapping

from tokend.plugin.settings import SinkSettings
from tokend.sinks.dotenv import DotenvSink
from tokend.sinks.json import JsonSink
from tokend.sinks.raw import RawSink
from tokend.sinks.socket import SocketSink
from tokend.sinks.template import TemplateSink

BUILTIN: Mapping[str, type[SinkSettings]] = {
    "json": JsonSink,
    "dotenv": DotenvSink,
    "raw": RawSink,
    "template": TemplateSink,
    "socket": SocketSink,
}
