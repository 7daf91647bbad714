"""The language of campaign texts: Liquid, of which a list of tags and filters is allowed, bounded in time and size.

python-liquid reaches no attribute of Python: a path looks up keys of what it was given. What it leaves open is bounded here:
reading (its regular expressions take quadratic time with what is never closed), loops one after another, filters that
multiply, ranges that are searched or reversed as a whole. See docs/adr/0033-campaign-texts.md.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TextIO

from liquid import Environment
from liquid.ast import Node
from liquid.builtin import content, illegal, output
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    for_tag,
    if_tag,
    inline_comment_tag,
    unless_tag,
)
from liquid.context import RenderContext
from liquid.exceptions import (
    BlockNestingError,
    LiquidError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
    ResourceLimitError,
)
from liquid.template import BoundTemplate

from marketing.content.filters import FILTERS

EXPRESSION_CHARS_MAX = 500
SPACES_IN_ROW_MAX = 40
TAGS_MAX = 300
NESTING_MAX = 8
# Rounds of loops, each times the tags of the whole text.
LOOP_STEPS_MAX = 5_000
FILTER_CALLS_MAX = 1_000
OUTPUT_BYTES_MAX = 300_000
VARIABLE_BYTES_MAX = 50_000

TAGS = (
    "if", "elsif", "else", "endif", "unless", "endunless", "case", "when", "endcase", "for", "endfor", "break", "continue",
    "assign", "capture", "endcapture", "comment", "endcomment", "#",
)  # fmt: skip
_OPENING = re.compile(r"\{\{|\{%")
_NAME = re.compile(r"-?\s*(#|\w*)")
_SPACES = re.compile(rf"\s{{{SPACES_IN_ROW_MAX + 1},}}")


class TextWrong(Exception):
    """What is wrong with a text, for whoever wrote it. `line` counts from 1."""

    def __init__(self, line: int, message: str, code: str = "invalid_template") -> None:
        self.line, self.message, self.code = line, message, code
        super().__init__(f"Line {line}: {message}")


class RenderFailed(Exception):
    """A text cannot be made for this customer. Its words hold nothing personal."""


class _ForNode(for_tag.ForNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        # Before liquid does: it would turn the whole range round first.
        looped = self.expression.iterable.evaluate(context)
        if isinstance(looped, range) and looped.stop - looped.start > LOOP_STEPS_MAX:
            raise LoopIterationLimitError("loop iteration limit reached", token=self.token)
        return super().render_to_output(context, buffer)


class _ForTag(for_tag.ForTag):
    node_class = _ForNode


class _Context(RenderContext):
    """Liquid bounds loops inside of loops; this also counts those one after another, and filters."""

    loop_steps = 0
    filter_calls = 0

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.loop_steps += length * self.template.weight  # type: ignore[attr-defined]
        if self.loop_steps > LOOP_STEPS_MAX:
            raise LoopIterationLimitError("loop iteration limit reached", token=None)

    def filter(self, name: str, token: Any) -> Any:
        self.filter_calls += 1
        if self.filter_calls > FILTER_CALLS_MAX:
            raise ResourceLimitError("too many filters are applied", token=token)
        return super().filter(name, token)


class _Bound(BoundTemplate):
    context_class = _Context
    weight = 1


class _Environment(Environment):
    block_nesting_limit = NESTING_MAX
    context_depth_limit = NESTING_MAX + 10
    output_stream_limit = OUTPUT_BYTES_MAX
    local_namespace_limit = VARIABLE_BYTES_MAX
    template_class = _Bound

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Only these. Among what is missing: include, render, raw, liquid, tablerow, and whatever else reads files."""
        for tag in (
            content.Literal, output.Output, illegal.Illegal, if_tag.IfTag, unless_tag.UnlessTag, case_tag.CaseTag, _ForTag,
            for_tag.BreakTag, for_tag.ContinueTag, assign_tag.AssignTag, capture_tag.CaptureTag, comment_tag.CommentTag,
            inline_comment_tag.InlineCommentTag,
        ):  # fmt: skip
            self.add_tag(tag)
        self.filters = dict(FILTERS)


_PLAIN = _Environment(autoescape=False)
_HTML = _Environment(autoescape=True)


@dataclass(frozen=True, slots=True)
class Used:
    """A variable of a text that is not the text's own."""

    segments: tuple[Any, ...]
    line: int

    @property
    def name(self) -> str:
        return ".".join(str(segment) for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was read. `used`: each variable, where it stands first."""

    bound: _Bound
    used: tuple[Used, ...]

    def render(self, variables: Mapping[str, Any]) -> str:
        """Raises RenderFailed."""
        try:
            return self.bound.render(variables)
        except LiquidError as error:
            raise RenderFailed(_said(error)) from None
        except Exception as error:
            raise RenderFailed(f"the text could not be put together ({type(error).__name__})") from None


def read_template(source: str, *, html: bool = False) -> Template:
    """Raises TextWrong. `html`: what stands for a variable is escaped."""
    weight = sum(1 for _ in pieces(source))
    if weight > TAGS_MAX:
        raise TextWrong(1, f"There are {weight} variables and tags; {TAGS_MAX} is the most.", "too_long")
    try:
        bound = (_HTML if html else _PLAIN).from_string(source)
        assert isinstance(bound, _Bound)
        bound.weight = max(1, weight)
        _refuse_ranges(source, bound.nodes)
        analysis = bound.analyze(include_partials=False)
    except LiquidError as error:
        raise TextWrong(_line_of(source, error), _sentence(_said(error))) from None
    except RecursionError:
        raise TextWrong(1, "This is nested too deeply.") from None
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            said = f"There is no filter {name}.{_meant(name, FILTERS)}"
            raise TextWrong(_line(source, spans[0].index), said, "unknown_filter")
    used = [
        Used(tuple(variable.segments), _line(source, variable.span.index))
        for variables in analysis.globals.values()
        for variable in variables
    ]
    return Template(bound, tuple(used))


@dataclass(frozen=True, slots=True)
class Piece:
    """A `{{ }}` or `{% %}` of a text. `name` is the tag's, "" of a variable."""

    start: int
    end: int
    name: str


def pieces(source: str) -> Iterator[Piece]:
    """All of them, in one pass: what the library's reader must not see, because it would take for ever. Raises TextWrong."""
    at = 0
    while (opening := _OPENING.search(source, at)) is not None:
        start, inside = opening.start(), opening.end()
        is_tag = opening.group() == "{%"
        closing = "%}" if is_tag else "}}"
        end = source.find(closing, inside, inside + EXPRESSION_CHARS_MAX + len(closing))
        if end < 0:
            said = f"{opening.group()} is not closed by {closing} within {EXPRESSION_CHARS_MAX} characters."
            raise TextWrong(_line(source, start), said)
        if _SPACES.search(source, inside, end):
            raise TextWrong(_line(source, start), "There are too many spaces between the braces.")
        name = ""
        if is_tag:
            found = _NAME.match(source, inside, end)
            name = found.group(1) if found else ""
            if name not in TAGS:
                said = f"There is no tag {name}.{_meant(name, TAGS)}" if name else "A tag needs a name."
                raise TextWrong(_line(source, start), said, "unknown_tag")
        at = end + len(closing)
        yield Piece(start, at, name)


def meant(name: str, known: Any) -> str:
    """ " Did you mean points?" or nothing."""
    return _meant(name, known)


def _meant(name: str, known: Any) -> str:
    near = get_close_matches(name[:60], list(known), n=1, cutoff=0.7)
    return f" Did you mean {near[0]}?" if near else ""


def _refuse_ranges(source: str, nodes: Any) -> None:
    """(1..9) only as what a loop goes through: liquid searches it from end to end for what is no number."""
    waiting = list(nodes)
    context = RenderContext(_PLAIN.from_string(""))
    while waiting:
        node: Node = waiting.pop()
        waiting += node.children(context, include_partials=False)
        expressions: list[Any] = list(node.expressions())
        while expressions:
            expression = expressions.pop()
            if isinstance(expression, RangeLiteral):
                where = _line(source, expression.token.start_index)
                raise TextWrong(where, "(1..9) can only be used in a for tag.")
            below = list(expression.children())
            if isinstance(expression, LoopExpression) and isinstance(expression.iterable, RangeLiteral):
                below = [child for child in below if child is not expression.iterable]
                below += expression.iterable.children()
            expressions += below


def _line(source: str, index: int) -> int:
    return source.count("\n", 0, max(0, index)) + 1


def _line_of(source: str, error: LiquidError) -> int:
    return 1 if error.token is None else _line(source, min(error.token.start_index, len(source)))


def _said(error: LiquidError) -> str:
    """In words of ours where the library's are those of a programmer."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    return str(error.message or "this cannot be read")[:200]


_WORDS: tuple[tuple[type[LiquidError], str], ...] = (
    (BlockNestingError, f"tags are nested more than {NESTING_MAX} deep"),
    (LoopIterationLimitError, "loops go round too often"),
    (OutputStreamLimitError, "the text grows too long"),
    (LocalNamespaceLimitError, "what is assigned grows too big"),
)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."
