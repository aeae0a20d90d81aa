"""The articles of the local site: three topics far apart, linked to each other, long enough to have a main content."""

from collections.abc import Sequence
from html import escape

Block = str | Sequence[str]

BREAD: list[Block] = [
    "A sourdough loaf rises without any yeast from a packet. Flour and water, left in a jar and fed every day, become "
    "home to wild yeasts and lactic bacteria, and after about a week this starter is lively enough to leaven dough.",
    "Mix strong wheat flour with water, let it rest for half an hour, then add the starter and two per cent of salt. "
    "Fold the dough four times in two hours instead of kneading it. It is ready to shape when it has grown by half "
    "and trembles when the bowl is moved.",
    ("Feed the starter eight hours ahead.", "Keep the dough at 25 degrees.", "Score the loaf just before it goes in."),
    "Bake in a covered iron pot at 240 degrees for twenty minutes, then uncovered until the crust is the colour of "
    "chestnuts. The steam trapped in the pot keeps the surface soft long enough for the loaf to open. Let it cool for "
    "an hour before cutting: the crumb is still setting.",
]

VOLCANO: list[Block] = [
    "Magma rises because it is lighter than the rock around it. Where one plate of the crust slides beneath another, "
    "water driven out of the sinking slab lowers the melting point of the mantle, and the melt gathers in chambers "
    "some kilometres below the surface.",
    "How violent an eruption is depends on gas and on how stiff the melt is. Basalt flows freely and lets its bubbles "
    "go, as on Hawaii; rhyolite holds them until the pressure shatters it into ash, as at Pinatubo in 1991.",
    ("Lava flows are slow and burn what they meet.", "Ash columns reach the stratosphere.", "Lahars follow rivers."),
    "Geologists watch a mountain with seismometers, tiltmeters and spectrometers for sulphur dioxide. Swarms of small "
    "earthquakes, a swelling flank and more gas than before have announced most of the large eruptions of the last "
    "decades by days or weeks.",
]

BICYCLE: list[Block] = [
    "A puncture on a bicycle is mended at the roadside in ten minutes. Release the brake, take the wheel out, and work "
    "the rubber casing off one side of the rim with two plastic levers, starting opposite the valve.",
    "Pump some air into the inner tube and listen, or hold it under water and look for bubbles. Roughen the spot with "
    "sandpaper, spread a thin film of vulcanising solution, wait until it is dull, and press the patch on hard.",
    ("Run a thumb along the inside of the casing to find the thorn.", "Never use a screwdriver on the rim."),
    "Put the tube back with a little air in it so that it does not twist, push the bead over the rim by hand, and pump "
    "it up to the pressure printed on the side wall. Spin the wheel to see whether it runs true, and check the brake "
    "before riding on.",
]


def article(title: str, blocks: Sequence[Block], links: Sequence[tuple[str, str]] = (), head: str = "") -> str:
    """An HTML page with navigation, an article of paragraphs and lists, and a footer. `links` are (address, text)."""
    body = "".join(
        f"<p>{escape(block)}</p>"
        if isinstance(block, str)
        else "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in block) + "</ul>"
        for block in blocks
    )
    anchors = "".join(f'<li><a href="{escape(address)}">{escape(text)}</a></li>' for address, text in links)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{head}</head>'
        f"<body><nav><ul>{anchors}</ul></nav><main><article><h1>{escape(title)}</h1>{body}</article></main>"
        "<footer><p>A page for tests.</p></footer></body></html>"
    )


_TOPICS = {
    "/bread": ("Baking sourdough bread", BREAD),
    "/volcano": ("How volcanoes erupt", VOLCANO),
    "/bicycle": ("Mending a bicycle by the road", BICYCLE),
}


def topic_page(path: str) -> str:
    """The article at `/bread`, `/volcano` or `/bicycle`; each links to the other two and to the front page."""
    title, blocks = _TOPICS[path]
    others = [(other, name) for other, (name, _) in _TOPICS.items() if other != path]
    return article(title, blocks, [("/", "Front page"), *others])


def front_page() -> str:
    """`/`: a few words and a link to every topic."""
    return article(
        "Three things worth knowing",
        ["This small site explains how to bake, how mountains of fire work, and how to get home on two wheels."],
        [(path, name) for path, (name, _) in _TOPICS.items()],
    )
