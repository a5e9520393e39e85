"""Units, users and their roles, registered sources and keys, sessions, metrics.

Kept true here: every change stands in the audit, in the transaction that made it; nobody administers above their own
unit.
"""
