"""An index on a table that is there already is built while tills go on."""

import re

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.migrations import AddConstraint, AddIndex, CreateModel, Migration, RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.models import UniqueConstraint

# The last of each app's that were written before there was a release: nobody's tables were large.
BEFORE_A_RELEASE = {
    "analytics": "0007",
    "api": "0001",
    "cloudpos": "0002",
    "customers": "0019",
    "exports": "0002",
    "jobs": "0001",
    "loyalty": "0021",
    "marketing": "0009",
    "tenancy": "0001",
}
OURS = {"analytics", "cloudpos", "customers", "loyalty", "marketing"}
_IN_SQL = re.compile(r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)", re.IGNORECASE)


def built_under_a_lock(migration: Migration) -> list[str]:
    """What keeps everybody from writing to a table for as long as an index is built."""
    made: set[str] = set()
    found = []
    for operation in migration.operations:
        if isinstance(operation, CreateModel):
            made.add(operation.name_lower)
        elif isinstance(operation, AddIndex) and not isinstance(operation, AddIndexConcurrently):
            if operation.model_name_lower not in made:
                found.append(operation.index.name)
        elif isinstance(operation, AddConstraint) and isinstance(operation.constraint, UniqueConstraint):
            if operation.model_name_lower not in made:
                found.append(operation.constraint.name)
        elif isinstance(operation, RunSQL) and _IN_SQL.search(str(operation.sql)):
            found.append(str(operation.sql))
    return found


def test_indexes_are_built_concurrently() -> None:
    ours = [
        each
        for (app, name), each in MigrationLoader(None).disk_migrations.items()
        if each.__module__.split(".")[0] in OURS and name[:4] > BEFORE_A_RELEASE.get(app, "")
    ]
    found = {str(migration): built_under_a_lock(migration) for migration in ours}
    assert not any(found.values()), f"AddIndexConcurrently, or CREATE INDEX CONCURRENTLY: {found}"


def test_it_would_be_seen() -> None:
    disk = MigrationLoader(None).disk_migrations
    assert built_under_a_lock(disk["marketing", "0008_short_links"]) == ["campaign_messages_link_idx"]
    assert built_under_a_lock(disk["customers", "0018_returned"]) == []
    assert built_under_a_lock(disk["customers", "0004_match_keys"])
