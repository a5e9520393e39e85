"""Which of the eight 凡是 each text hits, for whole columns.

Kept true here: equal texts get equal answers, so each is read once; rows keep their order and all other columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from .patterns import Patterns, shipped

if TYPE_CHECKING:
    import polars as pl

_LINK = r"(?i)https?://|www\.|[a-z0-9-]+\.(com|cn|net|org|top|xyz|vip|cc|info|site|club|shop|app|me|io|tv|ltd|wang|icu|link|fun|live|work|online|store|hk|tk|ml)\b|\burl\b"


def hits(texts: Sequence[str | None] | pl.Series, patterns: Patterns | None = None) -> list[list[int] | None]:
    """Numbers 1–8 of the 凡是 that each text hits, rising; None where there is no text."""
    import polars as pl  # half a second, which only texts are worth

    book = patterns or shipped()
    raw = pl.Series("raw", texts, pl.String)
    frame = pl.DataFrame({"raw": raw}).with_columns(
        plain=pl.col("raw")
        .str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all(r"[\s\x{200b}-\x{200f}\x{feff}]+", "")
    )
    excused = pl.col("plain").str.contains(book.excuse) if book.excuse else pl.lit(False)
    # links are looked for only where all else fits: their pattern costs more than all the others
    columns = []
    for f in book.fanshi:
        hit = pl.col("plain").str.contains(f.any)
        if f.also:
            hit = hit & pl.col("plain").str.contains(f.also)
        if f.unless:
            hit = hit & ~pl.col("plain").str.contains(f.unless)
        if f.link:
            fits = frame.select(hit & ~excused).to_series().fill_null(False)
            linked = frame["raw"].filter(fits).str.contains(_LINK)
            where = fits.arg_true().filter(linked.fill_null(False))
            hit = pl.int_range(pl.len()).is_in(where.implode())
        columns.append(pl.when(hit & ~excused).then(pl.lit(f.number)).alias(str(f.number)))
    found = frame.select(pl.col("raw").is_null().alias("none"), pl.concat_list(columns).list.drop_nulls().alias("hit"))
    return [None if none else list(hit) for none, hit in found.iter_rows()]


def annotate(rows: pa.Table, patterns: Patterns | None = None) -> pa.Table:
    """The messages ``rows`` with ``fanshi`` filled where there is a text; all else as it was."""
    at = rows.column_names.index("fanshi")
    texts = rows.column("text")
    if texts.null_count == len(texts):
        return rows
    coded = texts.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    found = pa.array(hits(coded.dictionary.to_pylist(), patterns), pa.list_(pa.int64()))
    column = found.take(coded.indices)
    column = pc.if_else(pc.is_valid(texts), pa.chunked_array([column]), rows.column("fanshi"))
    return rows.set_column(at, rows.schema.field("fanshi"), column.cast(pa.list_(pa.int64())))
