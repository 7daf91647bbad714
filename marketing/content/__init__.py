"""What campaigns say."""

from marketing.content.checking import ContentRefused, check_content
from marketing.content.compiling import Compiled, Rendered, compile_content
from marketing.content.language import RenderFailed

__all__ = ["Compiled", "ContentRefused", "RenderFailed", "Rendered", "check_content", "compile_content"]
