"""How the dashboards look: one palette and two themes. `tests/contract/test_board.py` checks contrast and colours."""

from typing import Any

NAME = "deftunes"
# Told apart with any kind of colour blindness, on white and on the dark theme alike.
CATEGORIES = ("#0072b2", "#d55e00", "#957e92", "#647b68")
# From little to much.
SEQUENCE = ("#e3eef6", "#a6cbe3", "#5da3cd", "#0072b2", "#003f66")

_FONT = "Inter, Helvetica, Arial, sans-serif"
_BAR = "%3Crect x='{x}' y='{y}' width='3' height='{height}' rx='1.5'/%3E"
_BARS = "".join(_BAR.format(x=x, y=y, height=h) for x, y, h in ((0, 10, 8), (5, 4, 18), (10, 8, 11), (15, 2, 20)))


def scheme(*colors: str) -> dict[str, Any]:
    """A colour scheme of Superset."""
    return {"id": NAME, "description": "", "label": "DeFtunes", "isDefault": True, "colors": list(colors)}


def _logo(color: str) -> str:
    return (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 132 24'%3E"
        f"%3Cg fill='%23{color[1:]}'%3E{_BARS}%3C/g%3E%3Ctext x='26' y='18' font-family='Inter,Arial,sans-serif' "
        f"font-size='16' font-weight='600' fill='%23{color[1:]}'%3EDeFtunes%3C/text%3E%3C/svg%3E"
    )


def _theme(algorithm: str, colors: dict[str, str]) -> dict[str, Any]:
    brand = {"brandAppName": "DeFtunes", "brandLogoAlt": "DeFtunes", "brandLogoHeight": "24px", "brandLogoHref": "/"}
    brand |= {"brandLogoMargin": "18px 0", "brandLogoUrl": _logo(colors["colorPrimary"])}
    fonts = {"fontFamily": _FONT, "fontFamilyCode": "'IBM Plex Mono', 'Courier New', monospace"}
    quiet = {f"colorText{name}": colors["colorTextSecondary"] for name in ("Description", "Placeholder", "Tertiary")}
    return {"algorithm": algorithm, "token": {**brand, **fonts, **colors, **quiet}}


LIGHT = _theme(
    "default",
    {
        "colorBgBase": "#ffffff",
        "colorBgContainer": "#ffffff",
        "colorBgLayout": "#f3f5f7",
        "colorBgSpotlight": "#1f2933",
        "colorError": "#b42318",
        "colorLink": "#005a8f",
        "colorPrimary": "#005a8f",
        "colorPrimaryBg": "#e3eef6",
        "colorPrimaryBgHover": "#d3e4f1",
        "colorText": "#1f2933",
        "colorTextLightSolid": "#ffffff",
        "colorTextSecondary": "#52606d",
    },
)
DARK = _theme(
    "dark",
    {
        "colorBgBase": "#12181d",
        "colorBgContainer": "#1a2127",
        "colorBgLayout": "#0f1418",
        "colorBgSpotlight": "#e8edf2",
        "colorError": "#ff8a80",
        "colorLink": "#6cb6e6",
        "colorPrimary": "#6cb6e6",
        "colorPrimaryBg": "#1d3547",
        "colorPrimaryBgHover": "#24435a",
        "colorText": "#e8edf2",
        # On the accent and on tooltips, which are both light here.
        "colorTextLightSolid": "#0f1418",
        "colorTextSecondary": "#a9b4c0",
    },
)
