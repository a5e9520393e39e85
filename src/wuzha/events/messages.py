"""Messages. ``text_p_scam``, ``text_type`` and ``fanshi`` are written only by ``wuzha.text``."""

from .table import FLOAT, INTS, TEXT, Column, Table

CHANNELS = ("sms", "flash", "im", "email")

MESSAGES = Table(
    name="messages",
    zh="短信与消息",
    en="Messages",
    columns=(
        Column(name="sender", type=TEXT, zh="发送方", en="sending line", subject="line", required=True),
        Column(name="recipient", type=TEXT, zh="接收方", en="receiving line", subject="line", required=True),
        Column(name="sender_raw", type=TEXT, zh="发送方原始号码", en="sender's digits as sent"),
        Column(name="channel", type=TEXT, zh="渠道", en="how it was sent", values=CHANNELS),
        Column(name="text", type=TEXT, zh="内容", en="the words"),
        Column(name="template_hash", type=TEXT, zh="模板指纹", en="fingerprint of the words, where words stay away"),
        Column(name="text_p_scam", type=FLOAT, zh="诈骗概率", en="probability that the words are a scam's"),
        Column(name="text_type", type=TEXT, zh="文本诈骗类型", en="scam type of the words"),
        Column(name="fanshi", type=INTS, zh="命中八个凡是", en="which of the eight 凡是, 1–8"),
    ),
)
