"""Paths to views, without trying every pattern again for every customer."""

from __future__ import annotations

import re
import uuid
from functools import cache

from django.urls import ResolverMatch, get_resolver
from django.urls.resolvers import URLResolver

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# No path has it: RequestMiddleware refuses those that do.
_ANY_ID = "\x00"


@cache
def _known(resolver: URLResolver) -> dict[str, ResolverMatch]:
    """Path with its ids replaced -> an earlier match. As many entries as there are routes of literals and UUIDs."""
    return {}


def resolve(path: str) -> ResolverMatch:
    """Django's `resolve`. Raises Http404 (Resolver404) for a path without a view.

    Two paths that differ in nothing but their UUIDs lead to the same view, so the patterns are tried for the first of
    them only. Routes with other variables are always resolved by Django.
    """
    resolver = get_resolver()
    known = _known(resolver)
    ids = _ID.findall(path)
    shape = _ID.sub(_ANY_ID, path) if ids else path
    earlier = known.get(shape)
    if earlier is None:
        match = resolver.resolve(path)
        if [str(value) for value in match.kwargs.values() if isinstance(value, uuid.UUID)] == ids and len(
            match.kwargs
        ) == len(ids):
            known[shape] = match
        return match
    if not ids:
        return earlier
    kwargs = {name: uuid.UUID(text) for name, text in zip(earlier.kwargs, ids, strict=True)}
    match = ResolverMatch.__new__(ResolverMatch)
    match.__dict__ = {**earlier.__dict__, "kwargs": kwargs, "captured_kwargs": kwargs}
    return match
