"""Transfers of money, one row a movement as one bank or firm booked it.

``amount_fen`` is never negative: a reversal is a row of its own whose ``reverses`` names the row it undoes.
"""

from .money import LIMIT_FEN
from .table import BOOL, INT, TEXT, Column, Table

CHANNELS = ("counter", "mobile", "web", "pos", "qr", "atm", "third_party", "crypto")
SIDES = ("payer", "payee", "both")


def _text(name: str, zh: str, en: str, subject: str | None = None, *, vault: bool = False) -> Column:
    return Column(name=name, type=TEXT, zh=zh, en=en, subject=subject, vault=vault)


TRANSFERS = Table(
    name="transfers",
    zh="资金交易",
    en="Transfers",
    natural_key=("payer", "payee", "amount_fen"),
    columns=(
        _text("payer", "付款账户", "account that pays; null for cash paid in", "account"),
        _text("payee", "收款账户", "account that receives; null for cash taken out", "account"),
        _text("payer_name", "付款人户名", "name on the payer's account", vault=True),
        _text("payer_id", "付款人证件号", "identity number of the payer", vault=True),
        _text("payer_bank", "付款行", "bank of the payer"),
        _text("payee_name", "收款人户名", "name on the payee's account", vault=True),
        _text("payee_id", "收款人证件号", "identity number of the payee", vault=True),
        _text("payee_bank", "收款行", "bank of the payee"),
        Column(name="amount_fen", type=INT, zh="金额（分）", en="fen", required=True, minimum=0, maximum=LIMIT_FEN),
        _text("currency", "币种", "ISO 4217; CNY where null"),
        Column(name="channel", type=TEXT, zh="渠道", en="how it was ordered", values=CHANNELS),
        Column(name="ok", type=BOOL, zh="是否成功", en="false where it failed; null counts as done"),
        _text("reverses", "冲正原交易", "event_id of the row that this one undoes, same source"),
        Column(name="fee_fen", type=INT, zh="手续费（分）", en="fee on top, fen", minimum=0, maximum=LIMIT_FEN),
        Column(name="payer_balance_fen", type=INT, zh="付款方余额（分）", en="payer's balance after it, fen"),
        Column(name="payee_balance_fen", type=INT, zh="收款方余额（分）", en="payee's balance after it, fen"),
        Column(name="side", type=TEXT, zh="记账方", en="whose books the row comes from", values=SIDES),
        Column(name="seq", type=INT, zh="序号", en="order within one account's statement"),
        Column(
            name="ts_precision_s", type=INT, zh="时间精度（秒）", en="1; 60 minutes only; 86400 date only", minimum=0
        ),
        Column(name="cash", type=BOOL, zh="现金", en="paid in or out in cash"),
        _text("place", "发生地", "GB/T 2260 code, or the words where there is none"),
        _text("outlet", "网点", "outlet"),
        _text("terminal", "终端号", "terminal"),
        _text("merchant", "商户名称", "merchant's name"),
        _text("merchant_id", "商户号", "merchant's number"),
        _text("teller", "柜员号", "teller"),
        _text("ip", "IP地址", "IP address", "ip"),
        _text("mac", "MAC地址", "MAC address"),
        _text("device", "设备", "device that ordered it", "device"),
        _text("memo", "摘要", "words on the transfer"),
        _text("bank_ref", "交易流水号", "the bank's reference, shared by both sides where it is"),
        _text("raw", "未映射列", "columns without a mapping, a JSON object of name and value"),
    ),
)
