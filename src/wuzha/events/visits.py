"""Visits to sites, one row a connection."""

from .table import INT, TEXT, Column, Table

VISITS = Table(
    name="visits",
    zh="网站访问",
    en="Visits to sites",
    columns=(
        Column(name="line", type=TEXT, zh="号码", en="visiting line", subject="line", required=True),
        Column(name="host", type=TEXT, zh="域名", en="host visited", subject="domain", required=True),
        Column(name="url", type=TEXT, zh="网址", en="address, where the holder may keep it"),
        Column(name="bytes", type=INT, zh="流量（字节）", en="bytes both ways", minimum=0),
    ),
)
