"""Checks of a kind's class when it is imported: base class, name, methods, signatures, default URL.

The texts are for the author of the kind. `config` checks the values in a configuration.
"""

import inspect
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from tokend.plugin.provider import Issuer, Provider
from tokend.plugin.request_signing import RequestSigner, SigningSettings
from tokend.plugin.secret_check import secret_faults
from tokend.plugin.settings import HeldSettings, NetworkSettings, OnDemandSettings, SinkSettings
from tokend.plugin.sink import CombiningSink, ListeningSink, RemoteSink, Sink
from tokend.plugin.upstream_settings import UpstreamSettings
from tokend.values.url import validate_base_url


def provider_faults(kind: str, found: object) -> list[str]:
    """Return the faults of ``found`` as the class of provider kind ``kind``, one text each. Empty if it is usable."""
    held = isinstance(found, type) and issubclass(found, HeldSettings)
    on_demand = isinstance(found, type) and issubclass(found, OnDemandSettings)
    if not isinstance(found, type) or held == on_demand:
        return ["it must be a class that inherits either HeldSettings or OnDemandSettings (tokend.plugin.authoring)"]
    return [
        *_field_faults(kind, found),
        *_method_faults(found, Provider if held else Issuer),
        *(_method_faults(found, RequestSigner) if issubclass(found, SigningSettings) else ()),
        *_upstream_faults(found, NetworkSettings),
    ]


def sink_faults(kind: str, found: object) -> list[str]:
    """Return the faults of ``found`` as the class of sink kind ``kind``, one text each. Empty if it is usable."""
    if not isinstance(found, type) or not issubclass(found, SinkSettings):
        return [
            "it must be a class that inherits SinkSettings or RemoteSinkSettings (tokend.plugin.authoring), "
            "or FileSink (tokend.sinks.files.base)"
        ]
    faults = [*_field_faults(kind, found), *_upstream_faults(found, UpstreamSettings), *found.own_faults()]
    if found.target is SinkSettings.target:
        faults.append("it has no property target: write def target(self) -> str")
    if hasattr(found, "put") and hasattr(found, "inspect") and found.family != "remote":
        return [*faults, "it has put and inspect, and does not inherit RemoteSinkSettings"]
    faults += _method_faults(found, {"pushed": Sink, "remote": RemoteSink, "served": ListeningSink}[found.family])
    if found.family == "pushed" and "tokens" in found.model_fields:
        faults += _method_faults(found, CombiningSink)
    return faults


def method_fault(model: type, name: str, wanted: Any) -> str | None:
    """Return a fault if ``model`` lacks the method ``name``, or declares it unlike the function ``wanted``."""
    method = getattr(model, name, None)
    written = f"{'async ' if inspect.iscoroutinefunction(wanted) else ''}def {name}{_parameters(wanted)}"
    if not callable(method):
        return f"it has no method {name}: write {written}"
    if not _is_callable_like(method, wanted):
        return f"its method {name} has another signature: write {written}"
    return None


def _field_faults(kind: str, model: type[BaseModel]) -> list[str]:
    """Return the faults of the fields: unknown types, a wrong ``kind``, secrets that are no fields of their own."""
    try:
        model.model_rebuild()
    except Exception as error:
        missing = f": {error.name} is unknown" if isinstance(error, NameError) and error.name else ""
        return [
            f"its fields are not fully defined ({type(error).__name__}{missing}); "
            "import the types of its fields at run time, not under TYPE_CHECKING"
        ]
    return [*_name_faults(kind, model), *secret_faults(model)]


def _name_faults(kind: str, model: type[BaseModel]) -> list[str]:
    field = model.model_fields["kind"]
    default, choices = field.get_default(), get_args(field.annotation)
    if isinstance(default, str) and default != kind:
        return [f'its field kind is "{default}": it must be "{kind}", or be left out']
    if field.annotation is str or (get_origin(field.annotation) is Literal and kind in choices):
        return []
    return [f'its field kind has another type: write kind: Literal["{kind}"] = "{kind}", or leave it out']


def _method_faults(model: type, protocol: type) -> list[str]:
    """Return a fault for each method of ``protocol`` that ``model`` lacks or declares with another signature."""
    methods = {
        name: wanted
        for name, wanted in vars(protocol).items()
        if not name.startswith("_") and inspect.isfunction(wanted)
    }
    found = [method_fault(model, name, wanted) for name, wanted in methods.items()]
    return [fault for fault in found if fault is not None]


def _is_callable_like(method: Any, wanted: Any) -> bool:
    if inspect.iscoroutinefunction(method) != inspect.iscoroutinefunction(wanted):
        return False
    try:
        inspect.signature(method).bind(*inspect.signature(wanted).parameters)
    except TypeError:
        return False
    return True


def _parameters(function: Any) -> str:
    return f"({', '.join(inspect.signature(function).parameters)})"


def _upstream_faults(model: Any, checked: type[UpstreamSettings]) -> list[str]:
    if "base_url" not in model.model_fields:
        return []
    if not issubclass(model, checked):
        return [f"it has base_url and does not inherit {checked.__name__}, which checks it"]
    default = model.model_fields["base_url"].get_default()
    try:
        if isinstance(default, str):
            validate_base_url(default)
    except ValueError as error:
        return [f"the default of base_url: {error}"]
    return []
