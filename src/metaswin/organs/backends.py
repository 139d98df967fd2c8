"""The backends of organ masks: each takes a `Request` and gives `Organs`."""

from collections.abc import Callable

from metaswin.organs.request import Organs, Request


def _threshold(request: Request) -> Organs:
    from metaswin.organs.threshold import segment_tissues

    return segment_tissues(request.ct, request.tumor > 0, request.grid, request.settings.threshold)


def _masks(request: Request) -> Organs:
    from metaswin.organs.masks import read_organs

    return read_organs(request)


def _totalsegmentator(request: Request) -> Organs:
    from metaswin.organs.drawn import read_drawn

    return read_drawn(request)


BACKENDS: dict[str, Callable[[Request], Organs]] = {
    "threshold": _threshold,
    "masks": _masks,
    "totalsegmentator": _totalsegmentator,
}
