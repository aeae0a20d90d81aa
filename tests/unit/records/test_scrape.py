"""A scrape's pages in the stores."""

from dataclasses import replace

from codeforge.records import records_of
from codeforge.records.documents import MAX_LINKS
from codeforge.records.model import MAX_SEARCH_CHARS, MAX_TEXTS
from codeforge.records.scrape import MAX_LINK_EDGES
from codeforge.results import FailedPage, Page, ScrapeResult
from codeforge.task import Task
from codeforge.worker_types import WorkerType
from tests.unit.records.samples import edges, finished, nodes, page, task_node

SENTENCE = "The quick brown fox jumps over the lazy dog. "


def scraped(*pages: Page, **fields: object) -> Task:
    return finished(WorkerType.SCRAPE, ScrapeResult(pages=list(pages), failed=[]), **fields)


def test_a_page_is_a_document_that_the_task_fetched() -> None:
    task = scraped(
        page("http://a.example/start", "# Hello", final_url="https://a.example/", title="Hello", method="zenrows")
    )

    records = records_of(task, [])

    (document,) = nodes(records, "Document")
    assert document.props == {
        "tenant": "acme",
        "url": "https://a.example/",
        "title": "Hello",
        "content_hash": page("x", "# Hello").content_hash,
        "fetched_at": task.finished_at,
        "status_code": 200,
        "method": "zenrows",
        "links": [],
    }
    (fetched,) = edges(records, "FETCHED")
    assert (fetched.start, fetched.end) == (("Task", task.id), ("Document", document.id))
    assert fetched.props == {"requested_url": "http://a.example/start"}


def test_chunks_hang_on_their_document_and_are_searchable_under_its_title_and_headings() -> None:
    body = SENTENCE * 30
    task = scraped(page("https://a.example/", f"# Guide\n\n{body}\n\n## Install\n\n{body}", title="The guide"))

    records = records_of(task, [])

    chunks = nodes(records, "Chunk")
    (document,) = nodes(records, "Document")
    assert [chunk.props["ordinal"] for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.props["heading"] for chunk in chunks] == ["Guide", "Guide", "Guide > Install", "Guide > Install"]
    assert {chunk.props["page_hash"] for chunk in chunks} == {document.props["content_hash"]}
    assert [(edge.start[1], edge.end[1]) for edge in edges(records, "HAS_CHUNK")] == [
        (document.id, chunk.id) for chunk in chunks
    ]
    texts = [text for text in records.texts if text.kind == "chunk"]
    assert [text.text for text in texts] == [
        f"The guide\n{chunks[0].props['text']}",
        f"The guide\nGuide\n{chunks[1].props['text']}",
        f"The guide\n{chunks[2].props['text']}",
        f"The guide\nGuide > Install\n{chunks[3].props['text']}",
    ]
    assert {text.url for text in texts} == {"https://a.example/"}


def test_a_page_is_searchable_as_a_whole_by_its_title_and_beginning() -> None:
    records = records_of(scraped(page("https://a.example/", SENTENCE * 100, title="Foxes")), [])

    (text,) = [text for text in records.texts if text.kind == "page"]
    assert text.text.startswith(f"Foxes\n{SENTENCE}")
    assert len(text.text) == 1_000


def test_a_title_with_which_the_page_begins_is_not_repeated() -> None:
    records = records_of(scraped(page("https://a.example/", "# Foxes\n\nThey jump.", title="Foxes")), [])

    assert {text.text for text in records.texts} == {"# Foxes\n\nThey jump."}


def test_a_page_without_title_and_text_is_found_by_its_address() -> None:
    (text,) = records_of(scraped(page("https://a.example/foxes")), []).texts

    assert text.text == "https://a.example/foxes"


def test_links_between_pages_are_edges_and_never_loops() -> None:
    first = page("https://a.example/1", links=["https://A.example/2", "https://a.example/1#top", "mailto:a@b.example"])
    second = page(
        "https://a.example/2", links=["https://a.example/1", "https://a.example/1", "https://elsewhere.example"]
    )

    records = records_of(scraped(first, second), [])

    one, two = (document.id for document in nodes(records, "Document"))
    (elsewhere,) = nodes(records_of(scraped(page("https://elsewhere.example/")), []), "Document")
    assert [(edge.start[1], edge.end[1]) for edge in edges(records, "LINKS_TO")] == [
        (one, two),
        (two, one),
        (two, elsewhere.id),
    ]


def test_a_link_to_an_address_that_was_redirected_leads_to_the_page_behind_it() -> None:
    first = page("https://a.example/1", links=["https://a.example/old"])
    moved = page("https://a.example/old", final_url="https://a.example/new")

    records = records_of(scraped(first, moved), [])

    one, new = (document.id for document in nodes(records, "Document"))
    (edge,) = edges(records, "LINKS_TO")
    assert (edge.start[1], edge.end[1]) == (one, new)


def test_two_addresses_of_one_page_are_one_document() -> None:
    first = page("https://a.example/old", "Text", final_url="https://a.example/new")
    second = page("https://a.example/new", "Text")

    records = records_of(scraped(first, second), [])

    assert len(nodes(records, "Document")) == len(nodes(records, "Chunk")) == len(edges(records, "FETCHED")) == 1
    assert edges(records, "FETCHED")[0].props == {"requested_url": "https://a.example/old"}


def test_a_page_fetched_again_unchanged_by_another_task_is_the_same_rows() -> None:
    once = records_of(scraped(page("https://a.example/", "Text")), [])
    again = records_of(scraped(page("HTTPS://A.example:443", "Text"), id="0190a1b2-0000-7000-8000-000000000002"), [])

    for label in ("Document", "Version", "Chunk"):
        assert [node.id for node in nodes(once, label)] == [node.id for node in nodes(again, label)]
    # Each task has a point of the page, of which a search shows the newest.
    assert [text.kind for text in once.texts] == [text.kind for text in again.texts] == ["page"]
    assert once.texts[0].id != again.texts[0].id


def test_passages_are_the_same_points_whichever_task_fetches_the_page() -> None:
    long = "\n\n".join(f"Passage {number}. " + "word " * 150 for number in range(3))
    once = records_of(scraped(page("https://a.example/", long)), [])
    again = records_of(scraped(page("https://a.example/", long), id="0190a1b2-0000-7000-8000-000000000002"), [])

    passages = [{text.id for text in records.texts if text.kind == "chunk"} for records in (once, again)]
    assert passages[0] == passages[1]
    assert len(passages[0]) > 1


def test_a_page_that_changed_keeps_its_document_and_gets_new_chunks() -> None:
    before = records_of(scraped(page("https://a.example/", "Before")), [])
    after = records_of(scraped(page("https://a.example/", "After")), [])

    assert [node.id for node in nodes(before, "Document")] == [node.id for node in nodes(after, "Document")]
    assert nodes(before, "Chunk")[0].id != nodes(after, "Chunk")[0].id
    assert nodes(before, "Version")[0].id != nodes(after, "Version")[0].id
    (edge,) = edges(after, "HAS_VERSION")
    assert edge.start[1] == nodes(before, "Document")[0].id
    assert [text.page.version for text in after.texts if text.page] == [page("x", "After").content_hash]


def test_a_page_of_one_passage_is_found_once_with_all_of_it() -> None:
    records = records_of(scraped(page("https://a.example/", SENTENCE * 30, title="Foxes")), [])

    (text,) = records_of(scraped(page("https://a.example/", SENTENCE * 19, title="Foxes")), []).texts
    assert text.text == f"Foxes\n{(SENTENCE * 19).strip()}"
    assert {text.kind for text in records.texts} == {"page", "chunk"}


def test_tenants_share_no_rows() -> None:
    ours = scraped(page("https://a.example/", "Text"))
    theirs = replace(ours, tenant="other", id="0190a1b2-0000-7000-8000-000000000002")

    shared = {node.id for node in records_of(ours, []).graph.nodes} & {
        node.id for node in records_of(theirs, []).graph.nodes
    }

    assert shared == set()


def test_links_are_bounded_per_page_and_per_task_and_those_inside_the_task_stay() -> None:
    addresses = [f"https://a.example/{number}" for number in range(60)]
    outside = [f"https://b.example/{number}" for number in range(MAX_LINKS * 2)]
    pages = [page(address, links=[addresses[0], *outside]) for address in addresses]

    records = records_of(scraped(*pages), [])

    documents = nodes(records, "Document")
    kept = [document.props["links"] for document in documents]
    assert {len(each) for each in kept if isinstance(each, list)} == {MAX_LINKS}
    links = edges(records, "LINKS_TO")
    assert len(links) == MAX_LINK_EDGES
    assert len([edge for edge in links if edge.end == ("Document", documents[0].id)]) == len(addresses) - 1


def test_texts_are_bounded_each_page_keeps_some_and_the_rest_is_counted() -> None:
    long = page("https://a.example/long", "\n\n".join(f"{number} {SENTENCE * 19}" for number in range(MAX_TEXTS + 100)))
    short = page("https://a.example/short", "Short.")

    records = records_of(scraped(long, short), [])

    assert len(records.texts) == MAX_TEXTS
    assert task_node(records).props["texts_dropped"] == len(nodes(records, "Chunk")) + 1 - MAX_TEXTS > 0
    assert [text.kind for text in records.texts if text.url == "https://a.example/short"] == ["page"]
    assert all(len(text.text) <= MAX_SEARCH_CHARS for text in records.texts)


def test_pages_that_failed_leave_only_the_result_text() -> None:
    failed = FailedPage(url="https://a.example/", code="timeout", message="no answer")
    task = finished(WorkerType.SCRAPE, ScrapeResult(pages=[], failed=[failed]))

    records = records_of(task, [])

    assert len(records.graph.nodes) == 1
    assert "no answer" in str(task_node(records).props["result"])
