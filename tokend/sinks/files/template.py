"""Kind ``template``: a file with any text, rendered by a sandboxed Jinja template from the native fields."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tokend.files import UntrustedError, read_whole, require_safe
from tokend.plugin.settings_base import AnchoredPath
from tokend.plugin.templates import render
from tokend.sinks.files.base import FileSink
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

# The template file is read at each write.
LARGEST_TEMPLATE_BYTES = 1024 * 1024


class TemplateSink(FileSink):
    """A file with a rendered template.

    The variables are the native JSON's members, ``headers``, and ``tokens``: the same variables of each token, by name.
    A change of any of the tokens renders the template again. While one of them is not valid, the file stays unchanged.
    """

    kind: Literal["template"] = "template"
    # Names of other held tokens, checked by `config.cross_checks`.
    tokens: Annotated[tuple[str, ...], Field(strict=False)] = ()
    template: str | None = Field(default=None, repr=False)
    template_file: AnchoredPath | None = None

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if (self.template is None) == (self.template_file is None):
            raise ValueError("give either template or template_file")
        return self

    def render(self, lease: Lease) -> bytes:
        """Render the template for one token."""
        return self.render_all(lease, {})

    def write_all_blocking(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Write the template rendered for these tokens. True if the file changed."""
        content = self.render_all(lease, others)
        with self.operator_errors():
            return self.put(content)

    def rendered(self, lease: Lease, others: Mapping[str, Lease]) -> bytes:
        """Render the template for these tokens."""
        return self.render_all(lease, others)

    def render_all(self, lease: Lease, others: Mapping[str, Lease]) -> bytes:
        """Render the template for these tokens as UTF-8. Raises `SinkError`; see `rendering`."""
        return render(self.target, self._source(), lease, others)

    def _source(self) -> str:
        if self.template_file is None:
            return self.template or ""
        try:
            require_safe(self.template_file)
            return read_whole(self.template_file, at_most=LARGEST_TEMPLATE_BYTES).decode("utf-8")
        except UntrustedError as error:
            raise SinkError(f"{self.target}: {self.template_file}: unsafe_path: {error.strerror}") from None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise SinkError(f"{self.target}: {self.template_file}: {reason}") from None
