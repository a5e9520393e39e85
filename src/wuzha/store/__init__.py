"""PostgreSQL: schema, migrations, roles, log, audit. Everything else reads and writes records through it."""

from .database import Connection, Database, Role, set_scope, transaction
from .settings import Settings, external, opened

__all__ = ["Connection", "Database", "Role", "Settings", "external", "opened", "set_scope", "transaction"]
