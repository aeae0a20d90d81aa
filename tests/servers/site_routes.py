"""What the local site has at which path."""

import gzip
import zlib
from collections.abc import Callable
from functools import cache

from tests.servers.articles import BREAD, article, front_page, topic_page
from tests.servers.site_handler import HTML, Handler
from tests.servers.unrendered import CHALLENGES, UNRENDERED

SLOW_S = 60.0
SHORT_WAIT_S = 0.5
MIB = 1024 * 1024

ROUTES: dict[str, Callable[[Handler], None]] = {}


def respond(handler: Handler) -> None:
    """Answers any path; `/redirect/N` takes N hops to `/bread`, `/status/N` answers with that status."""
    prefix, _, number = handler.page.rpartition("/")
    if handler.page in handler.server.pages:
        page = handler.server.pages[handler.page]
        handler.wait(handler.server.page_s)
        handler.answer(page, content_type=HTML if page.startswith("<") else "text/plain")
    elif prefix == "/redirect":
        handler.redirect(f"/redirect/{int(number) - 1}" if int(number) > 1 else "/bread")
    elif prefix == "/status":
        handler.answer(article("Sorry", ["This did not work."]), status=int(number))
    else:
        ROUTES.get(handler.page, _missing)(handler)


def _route(path: str) -> Callable[[Callable[[Handler], None]], Callable[[Handler], None]]:
    def add(handler: Callable[[Handler], None]) -> Callable[[Handler], None]:
        ROUTES[path] = handler
        return handler

    return add


def _fixed(path: str, body: str | bytes, content_type: str | None = HTML, **headers: str) -> None:
    ROUTES[path] = lambda handler: handler.answer(
        body, content_type=content_type, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def _missing(handler: Handler) -> None:
    handler.answer(article("Not found", ["There is no such page."]), status=404)


_fixed("/", front_page())
for _path in ("/bread", "/volcano", "/bicycle"):
    _fixed(_path, topic_page(_path))
for _path, _html in UNRENDERED.items():
    _fixed(_path, _html)
_fixed("/empty", "")
_fixed("/tiny", "<p>Just this.</p>")
_fixed("/plain", "Plain words.\r\nSecond line.", "text/plain")
_fixed("/markdown", "# A note\n\nWith *emphasis*.\n", "text/markdown; charset=utf-8")
_fixed("/no-type", article("No type", BREAD), None)
_fixed("/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf")
_fixed("/image", b"\x89PNG\r\n\x1a\n", "image/png")
_fixed("/gzip", gzip.compress(topic_page("/bread").encode()), Content_Encoding="gzip")
_fixed("/deflate", zlib.compress(topic_page("/bread").encode()), Content_Encoding="deflate")
_fixed("/raw-deflate", zlib.compress(topic_page("/bread").encode(), wbits=-15), Content_Encoding="deflate")
_fixed("/brotli", b"\x0b\x02\x80hello\x03", Content_Encoding="br")
_fixed("/cut-gzip", gzip.compress(topic_page("/bread").encode())[:-40], Content_Encoding="gzip")

_ACCENTED = "<html><head>{}<title>Caf\xe9</title></head><body><p>Cr\xe8me br\xfbl\xe9e \x96 na\xefve.</p></body></html>"
_fixed("/latin1", _ACCENTED.format("").encode("latin-1"), "text/html; charset=ISO-8859-1")
_fixed("/latin1-undeclared", _ACCENTED.format("").encode("latin-1"), "text/html")
_fixed("/latin1-meta", _ACCENTED.format('<meta charset="iso-8859-1">').encode("latin-1"), "text/html")
_fixed("/wrong-charset", _ACCENTED.format("").encode("latin-1"), "text/html; charset=utf-8")
_fixed("/base64-charset", _ACCENTED.format("").encode("latin-1"), "text/html; charset=base64")

_fixed(
    "/based",
    article("Based", BREAD, [("page", "relative"), ("/root", "rooted")], head='<base href="https://example.org/dir/">'),
)
_fixed(
    "/links",
    article(
        "Links",
        BREAD,
        [
            *(("/bread", "one"), ("/bread#crust", "the same"), ("volcano?q=1", "relative"), ("#top", "here")),
            *(("mailto:a@example.org", "mail"), ("javascript:alert(1)", "script"), ("http://[broken", "broken")),
            *(("//example.org/x", "other host"), ("HTTPS://example.org/y", "capitals"), ("ftp://example.org/", "ftp")),
        ],
    ),
)


@_route("/robots.txt")
def _robots(handler: Handler) -> None:
    rules = handler.server.robots
    if rules is None:
        _missing(handler)
    elif rules.startswith("location: "):
        handler.redirect(rules.removeprefix("location: "))
    elif rules.isdigit():  # the site has trouble with it
        handler.answer("", status=int(rules))
    else:
        handler.answer(rules, content_type="text/plain")


@_route("/busy-once")
def _busy_once(handler: Handler) -> None:
    if handler.first_time():
        handler.answer("", status=429, headers={"Retry-After": "1"})
    else:
        handler.answer(topic_page("/bread"))


@_route("/tagged")
def _tagged(handler: Handler) -> None:
    """A page with an entity tag, which is asked for again by it."""
    if handler.headers.get("If-None-Match") == '"v1"':
        handler.answer("", status=304, headers={"ETag": '"v1"'})
    else:
        handler.answer(topic_page("/bread"), headers={"ETag": '"v1"'})


@_route("/dated")
def _dated(handler: Handler) -> None:
    """A page with a date."""
    date = "Sat, 01 Aug 2026 10:00:00 GMT"
    if handler.headers.get("If-Modified-Since") == date:
        handler.answer("", status=304)
    else:
        handler.answer(topic_page("/bread"), headers={"Last-Modified": date})


@_route("/changing")
def _changing(handler: Handler) -> None:
    """A page that is another one each time, with a tag that fits."""
    number = handler.server.hits[handler.page]
    handler.answer(article(f"Version {number}", BREAD), headers={"ETag": f'"v{number}"'})


@_route("/fresh")
def _fresh(handler: Handler) -> None:
    handler.answer(topic_page("/bread"), headers={"Cache-Control": "public, max-age=600"})


@_route("/not-stored")
def _not_stored(handler: Handler) -> None:
    handler.answer(topic_page("/bread"), headers={"Cache-Control": "no-store", "ETag": '"x"'})


@_route("/slow")
def _slow(handler: Handler) -> None:
    handler.wait(SLOW_S)
    handler.answer(topic_page("/bread"))


@_route("/short-wait")
def _short_wait(handler: Handler) -> None:
    handler.wait(SHORT_WAIT_S)
    handler.answer(topic_page("/bread"))


@_route("/drip")
def _drip(handler: Handler) -> None:
    """A byte every now and then: each read is quick, the whole never ends."""
    handler.send_response(200)
    handler.send_header("Content-Type", HTML)
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b"a")
        handler.wait(0.1)
    handler.hang_up()


@_route("/huge")
def _huge(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", HTML)
    handler.end_headers()
    for _ in range(6 * 16):
        handler.wfile.write(b"a" * (64 * 1024))
    handler.hang_up()


@_route("/loop")
def _loop(handler: Handler) -> None:
    handler.redirect("/loop", 301)


@_route("/to")
def _to(handler: Handler) -> None:
    """`/to?url=...` redirects anywhere."""
    handler.redirect(handler.query("url"))


@_route("/circle/1")
def _circle(handler: Handler) -> None:
    handler.redirect("/circle/2", 302)


@_route("/circle/2")
def _circle_back(handler: Handler) -> None:
    handler.redirect("/circle/1", 307)


@_route("/challenged")
def _challenged(handler: Handler) -> None:
    handler.answer(CHALLENGES["/challenge/cloudflare"], status=403, headers={"cf-mitigated": "challenge"})


@_route("/to-private")
def _to_private(handler: Handler) -> None:
    handler.redirect("http://10.0.0.1/secret")


@_route("/to-nowhere")
def _to_nowhere(handler: Handler) -> None:
    handler.answer("", status=302)


@_route("/busy")
def _busy(handler: Handler) -> None:
    handler.answer("", status=429, headers={"Retry-After": "7"})


@_route("/unavailable")
def _unavailable(handler: Handler) -> None:
    handler.answer("", status=503)


@_route("/unavailable-long")
def _unavailable_long(handler: Handler) -> None:
    handler.answer("", status=503, headers={"Retry-After": "120"})


@_route("/unavailable-for-ages")
def _unavailable_for_ages(handler: Handler) -> None:
    handler.answer("", status=503, headers={"Retry-After": "9" * 400})


@_route("/unavailable-once")
def _unavailable_once(handler: Handler) -> None:
    handler.answer(topic_page("/bread"), status=503 if handler.first_time() else 200)


@_route("/drop")
def _drop(handler: Handler) -> None:
    handler.hang_up()


@_route("/drop-once")
def _drop_once(handler: Handler) -> None:
    if handler.first_time():
        handler.hang_up()
    else:
        handler.answer(topic_page("/bread"))


@_route("/garbage")
def _garbage(handler: Handler) -> None:
    handler.wfile.write(b"This is no HTTP at all.\r\n\r\n")
    handler.hang_up()


@_route("/truncated")
def _truncated(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", HTML)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"<html>")
    handler.hang_up()


@_route("/headers")
def _headers(handler: Handler) -> None:
    """What the client sent, as text; sets a cookie that no later request may send back."""
    sent = "".join(f"{name}: {value}\n" for name, value in handler.headers.items())
    handler.answer(sent, content_type="text/plain", headers={"Set-Cookie": "session=1; Path=/"})


@_route("/huge-declared")
def _huge_declared(handler: Handler) -> None:
    handler.answer(b"a" * (6 * MIB))


@_route("/bomb")
def _bomb(handler: Handler) -> None:
    handler.answer(_zeros(1), headers={"Content-Encoding": "gzip"})


@_route("/double-bomb")
def _double_bomb(handler: Handler) -> None:
    handler.answer(_zeros(2), headers={"Content-Encoding": "gzip, gzip"})


@cache
def _zeros(times: int) -> bytes:
    """128 MiB of zeros, compressed so many times."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(128)) + packer.flush()
    for _ in range(times - 1):
        packed = gzip.compress(packed, 9)
    return packed
