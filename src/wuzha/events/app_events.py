"""What an app did on a phone: installed, opened, shared the screen, was remote-controlled …"""

from .table import TEXT, Column, Table

ACTIONS = ("install", "open", "screen_share", "remote_control", "meeting_join", "nfc_relay")

APP_EVENTS = Table(
    name="app_events",
    zh="应用事件",
    en="App events",
    columns=(
        Column(name="line", type=TEXT, zh="号码", en="line of the phone", subject="line"),
        Column(name="device", type=TEXT, zh="设备", en="the phone", subject="device"),
        Column(name="app", type=TEXT, zh="应用名称", en="name shown", required=True),
        Column(name="package", type=TEXT, zh="包名", en="package name", subject="app"),
        Column(name="signature", type=TEXT, zh="签名", en="certificate fingerprint", subject="cert"),
        Column(name="action", type=TEXT, zh="动作", en="what happened", values=ACTIONS, required=True),
    ),
)
