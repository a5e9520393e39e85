"""``--dask``: the cluster that a history job runs on.

Kept true here: what is wrong with a cluster is told in one sentence, with the worker it is wrong with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from .output import CommandError

if TYPE_CHECKING:
    from wuzha.live.cluster import Cluster

DASK_OPTION = typer.Option(
    None, "--dask", help="Run on the Dask cluster at tcp://host:port; its workers see the same folder."
)


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """The cluster at ``address``. CommandError where it cannot do the job."""
    from wuzha.live.cluster import ClusterError, connected

    try:
        with connected(address) as found:
            yield found
    except ClusterError as error:
        raise CommandError(str(error)) from error
