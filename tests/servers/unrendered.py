"""Pages that are not what their reader would see: empty applications, notices, challenges, walls, and skeletons."""

from tests.servers.articles import BREAD, article, topic_page

_SCRIPT = '<script src="/static/main.8f3a.js" defer></script>'


def _page(title: str, body: str, head: str = "") -> str:
    return f'<!DOCTYPE html><html lang="en"><head><title>{title}</title>{head}</head><body>{body}</body></html>'


SHELLS = {
    "/app/react": _page(
        "Shop", f"<noscript>You need to enable JavaScript to run this app.</noscript><div id='root'></div>{_SCRIPT}"
    ),
    "/app/vue": _page("Shop", f"<div id='app'></div>{_SCRIPT}"),
    "/app/next": _page(
        "Shop", f"<div id='__next'><div class='spinner'>Loading...</div></div>{_SCRIPT}"
        '<script id="__NEXT_DATA__" type="application/json">{"page":"/"}</script>',
    ),
    "/app/nuxt": _page("Shop", f"<div id='__nuxt'></div>{_SCRIPT}"),
    "/app/angular": _page("Shop", f"<app-root></app-root>{_SCRIPT}"),
}  # fmt: skip
NOTICES = {
    "/notice/noscript": _page(
        "Timetable", f"<noscript><p>Please enable JavaScript to see the timetable.</p></noscript><div></div>{_SCRIPT}"
    ),
    "/notice/visible": _page("Map", f"<p>This site requires JavaScript.</p>{_SCRIPT}"),
}
CHALLENGES = {
    "/challenge/cloudflare": _page(
        "Just a moment...",
        "<h1>example.org</h1><p>Verifying you are human. This may take a few seconds.</p>"
        '<script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1"></script>',
    ),
    "/challenge/captcha": _page(
        "example.org",
        '<p>Please complete the check.</p><script src="https://geo.captcha-delivery.com/captcha/"></script>',
    ),
    "/challenge/incapsula": _page("", '<iframe src="/_Incapsula_Resource?SWUDNSAI=31&xinfo=1"></iframe>'),
}
WALLS = {
    "/wall/consent": _page(
        "Before you continue",
        "<div id='consent-dialog'><h2>We value your privacy</h2><p>We and our 841 partners store cookies on your "
        "device and process personal data to show you advertisements that fit.</p><button>Accept all</button>"
        f"<button>More options</button></div>{_SCRIPT}",
    )
}
SKELETONS = {
    "/skeleton": _page(
        "Reviews",
        "<h1>Reviews</h1>" + "".join(f"<div class='card c{n}'><span class='line'></span></div>" for n in range(400))
        + _SCRIPT,
    )
}  # fmt: skip
UNRENDERED = {**SHELLS, **NOTICES, **CHALLENGES, **WALLS, **SKELETONS}

COMPLETE = {
    "an article": topic_page("/bread"),
    "a short page without scripts": _page("Hours", "<p>Open from nine to five.</p>"),
    "a short page with a script": _page("Hours", f"<p>Open from nine to five.</p>{_SCRIPT}"),
    "an article of an application": article("Bread", BREAD).replace("<main>", "<div id='root'><main>") + _SCRIPT,
    "an article behind a proxy that adds its script": article(
        "Bread", BREAD, head='<script src="/cdn-cgi/challenge-platform/scripts/jsd/main.js"></script>'
    ),
    "an article with a cookie banner": article("Bread", BREAD).replace(
        "<body>", "<body><div class='cookie-banner'>We use cookies. <button>Accept</button></div>"
    ),
    "an article about JavaScript": article("How to enable JavaScript", ["Enable JavaScript in the settings.", *BREAD])
    + _SCRIPT,
    "an article with a contact form": article(
        "Bread", BREAD, head='<script src="https://www.google.com/recaptcha/api.js"></script>'
    ),
}
"""Pages that have what they promise, though some look a little like those above."""
