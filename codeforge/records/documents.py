"""Web pages as Document and Chunk nodes, shared by all tasks of a tenant.

A Document's id comes from tenant and address, a Chunk's from its Document, its text and its place: a page that is
fetched again unchanged writes the same rows. When the page did change, the changed chunks get new ids and the old
ones stay: a Chunk whose `page_hash` is not its Document's `content_hash` is from an earlier version. Each text that a
page was seen with is a Version of its Document. Search finds the newest version alone. LINKS_TO edges to a page that
is stored only later, by another task, are missing until the linking page is fetched again.
"""

from codeforge.records.chunks import TextChunk
from codeforge.records.identity import content_hash, stable_id
from codeforge.stores.graph_model import EdgeType, Label
from codeforge.stores.ports import Edge, Node, Scalar
from codeforge.urls import canonical_url, is_web_url

MAX_LINKS = 500
"""Links kept of one page, as property and as edges."""

MAX_LINK_CHARS = 2_048


def document_id(tenant: str, url: str) -> str:
    """The id of the Document at this address."""
    return stable_id("document", tenant, canonical_url(url))


def chunk_node(tenant: str, document: str, page_hash: str, chunk: TextChunk) -> Node:
    """A passage of a page."""
    props: dict[str, Scalar] = {
        "tenant": tenant,
        "text": chunk.text,
        "ordinal": chunk.ordinal,
        "heading": chunk.heading,
        "page_hash": page_hash,
    }
    return Node(Label.CHUNK, stable_id("chunk", document, content_hash(chunk.text), str(chunk.ordinal)), props)


def excerpt_node(tenant: str, document: str, text: str) -> Node:
    """A passage that was quoted from a page without its place in it: it has no ordinal."""
    props: dict[str, Scalar] = {"tenant": tenant, "text": text, "heading": ""}
    return Node(Label.CHUNK, stable_id("excerpt", document, content_hash(text)), props)


def version_node(tenant: str, document: str, url: str, title: str, page_hash: str, seen_at: int | None) -> Node:
    """A page's text at one time: `content_hash` is its chunks' `page_hash`, `seen_at` when it was fetched last."""
    props: dict[str, Scalar] = {
        "tenant": tenant,
        "url": url,
        "title": title,
        "content_hash": page_hash,
        "seen_at": seen_at,
    }
    return Node(Label.VERSION, stable_id("version", document, page_hash), props)


def has_version(document: str, version: Node) -> Edge:
    """Document -HAS_VERSION-> Version."""
    return Edge(EdgeType.HAS_VERSION, (Label.DOCUMENT, document), (Label.VERSION, version.id))


def has_chunk(document: str, chunk: Node) -> Edge:
    """Document -HAS_CHUNK-> Chunk."""
    return Edge(EdgeType.HAS_CHUNK, (Label.DOCUMENT, document), (Label.CHUNK, chunk.id))


def kept_links(links: list[str]) -> list[str]:
    """The first MAX_LINKS links to pages, of storable length, each once."""
    pages = (link for link in links if len(link) <= MAX_LINK_CHARS and is_web_url(link))
    return list(dict.fromkeys(pages))[:MAX_LINKS]
