"""The kinds of sinks, one file per kind. Kinds do not know each other; `plugin.sink` has their interfaces."""

from collections.abc import Mapping

from tokend.plugin.settings import SinkSettings
from tokend.sinks.files.dotenv import DotenvSink
from tokend.sinks.files.json import JsonSink
from tokend.sinks.files.raw import RawSink
from tokend.sinks.files.template import TemplateSink
from tokend.sinks.socket import SocketSink

BUILTIN: Mapping[str, type[SinkSettings]] = {
    "json": JsonSink,
    "dotenv": DotenvSink,
    "raw": RawSink,
    "template": TemplateSink,
    "socket": SocketSink,
}
