"""What every vector store promises: the fake, the embedded Qdrant and a real one."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from codeforge.errors import RowRejected, SettingsError
from codeforge.stores.embeddings import WordLlamaEmbedder
from codeforge.stores.ports import Hit, PageVersion, Point, VectorStore
from tests.contract.vector_engines import DIM, VectorEngine, direction, opened, point

pytestmark = pytest.mark.anyio

PAGES = {
    "cats": "The domestic cat is a small carnivorous mammal. Kittens are born blind and purr when they are fed.",
    "solar": "Photovoltaic panels turn sunshine into current. An inverter feeds what is left over into the grid.",
    "bread": "Sourdough is leavened by wild yeast. Knead flour and water, let it rise and bake it in a hot oven.",
    "rates": "The central bank raised its key interest rate by a quarter point to slow inflation.",
}


def keys(hits: Sequence[Hit]) -> list[str]:
    return [hit.payload["task_id"] for hit in hits]


async def best(
    store: VectorStore, text: str, vector: Sequence[float], tenant: str = "acme", limit: int = 10
) -> list[str]:
    return keys(await store.search(tenant, text, vector, limit=limit))


def many(count: int, tenant: str = "acme") -> list[Point]:
    chance = random.Random(7)
    return [
        point(f"{tenant}-{n}", f"text {n}", [chance.uniform(-1, 1) for _ in range(DIM)], tenant=tenant)
        for n in range(count)
    ]


async def test_prepare_may_be_repeated_and_run_at_once(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine, prepared=False) as store, opened(vector_engine, prepared=False) as other:
        await asyncio.gather(*(each.prepare() for each in (store, other, store)))
        await store.ping()
        await store.upsert([point("a", "text", direction(1))])
        await store.prepare()
        assert await other.count() == 1


async def test_what_was_written_is_found_at_once_with_its_payload(vector_engine: VectorEngine) -> None:
    written = point("a", "Größe, naïve, 東京 and \U0001f600", direction(1), created_at=1_700_000_000_123, url=None)
    async with opened(vector_engine) as store:
        await store.upsert([written])
        (hit,) = await store.search("acme", "東京", direction(1))
    assert hit.id == written.id
    assert hit.score > 0
    assert {**hit.payload, "url": hit.payload.get("url")} == written.payload


async def test_older_versions_of_a_page_are_forgotten_and_nothing_else(vector_engine: VectorEngine) -> None:
    def seen(key: str, version: str, fetched_at: int, document: str = "d1", tenant: str = "acme") -> Point:
        facts = {"document": document, "version": version, "fetched_at": fetched_at}
        return point(key, "words", direction(1), tenant=tenant, **facts)

    async with opened(vector_engine) as store:
        await store.upsert(
            [
                seen("old", "v1", 1),
                seen("current", "v2", 3),
                seen("newer", "v3", 5),
                seen("other", "v1", 1, document="d2"),
                seen("theirs", "v1", 1, tenant="rival"),
                point("report", "words", direction(1)),
            ]
        )
        others = [PageVersion("acme", f"none-{number}", "v", 9) for number in range(70)]
        await store.forget_older([*others, PageVersion("acme", "d1", "v2", 3)])
        await store.forget_older([])
        kept = await best(store, "words", direction(1))
        theirs = await best(store, "words", direction(1), tenant="rival")
    assert sorted(kept) == ["current", "newer", "other", "report"]
    assert theirs == ["theirs"]


async def test_writing_a_point_again_replaces_it(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        await store.upsert([point("a", "the first text", direction(1)), point("b", "another", direction(0, 1))])
        await store.upsert([point("a", "the second version", direction(1)), point("b", "another", direction(0, 1))])
        assert await store.count() == 2
        (hit,) = await store.search("acme", "something", direction(1), limit=1)
    assert hit.payload["text"] == "the second version"


async def test_counts_are_exact_for_each_tenant_and_for_all(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        assert await store.count() == 0
        await store.upsert([])
        await store.upsert([*many(1_203), *many(97, "other")])
        assert await store.count("acme") == 1_203
        assert await store.count("other") == 97
        assert await store.count("nobody") == 0
        assert await store.count() == 1_300


async def test_tenants_never_meet(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        await store.upsert([*many(300, "other"), point("theirs", "a rare secret", direction(1), tenant="other")])
        await store.upsert([point("mine", "something else entirely", direction(-1))])
        assert await best(store, "rare secret", direction(1)) == ["mine"]
        assert await best(store, "rare secret", direction(1), tenant="nobody") == []
        assert (await best(store, "rare secret", direction(1), tenant="other"))[0] == "theirs"


async def test_type_and_kind_narrow_the_hits(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        await store.upsert(
            [
                point("chunk", "words", direction(1)),
                point("report", "words", direction(1), type="analysis", kind="report"),
                point("claim", "words", direction(1), type="analysis", kind="claim"),
            ]
        )
        everything = await store.search("acme", "words", direction(1))
        analyses = await store.search("acme", "words", direction(1), type="analysis")
        claims = await store.search("acme", "words", direction(1), type="analysis", kind="claim")
        none = await store.search("acme", "words", direction(1), type="scrape", kind="claim")
    assert sorted(keys(everything)) == ["chunk", "claim", "report"]
    assert sorted(keys(analyses)) == ["claim", "report"]
    assert keys(claims) == ["claim"]
    assert none == []


async def test_hits_are_the_best_ones_in_order(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        await store.upsert([point(f"p{n}", f"text {n}", direction(1, n / 10)) for n in range(100)])
        hits = await store.search("acme", "unknown", direction(1), limit=5)
    assert keys(hits) == ["p0", "p1", "p2", "p3", "p4"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("query", ["felines", "what is it about?", "???", "\u0000 \u200b"])
async def test_a_query_without_a_common_word_finds_the_nearest(vector_engine: VectorEngine, query: str) -> None:
    async with opened(vector_engine) as store:
        await store.upsert([point("near", PAGES["cats"], direction(1)), point("far", PAGES["solar"], direction(0, 1))])
        assert await best(store, query, direction(0.9, 0.1)) == ["near", "far"]


async def test_a_word_that_only_one_text_has_finds_it(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        await store.upsert([*many(60), point("manual", "Replace the XJ-9000 valve every year.", direction(-1))])
        # The nearest by meaning and the best by words weigh the same.
        assert "manual" in await best(store, "xj-9000 valve", direction(1), limit=2)


async def test_one_accidental_word_does_not_outrank_meaning(vector_engine: VectorEngine) -> None:
    # Given a page that means what is asked, and one that has a single word of the question
    async with opened(vector_engine) as store:
        await store.upsert(
            [
                point("meant", PAGES["cats"], direction(1)),
                point("accident", "Home of the project, with news and downloads.", direction(0, 1)),
            ]
        )
        assert (await best(store, "feline animals kept at home", direction(0.9, 0.1)))[0] == "meant"


async def test_the_rarer_word_counts_for_more(vector_engine: VectorEngine) -> None:
    common = [point(f"common{n}", "an engine like any other", direction(1, n)) for n in range(20)]
    async with opened(vector_engine) as store:
        await store.upsert([*common, point("rare", "a turbopump like any other", direction(-1))])
        assert "rare" in (await best(store, "turbopump like any engine", direction(1)))[:3]


async def test_a_row_that_does_not_fit_is_refused_with_its_batch(vector_engine: VectorEngine) -> None:
    good, short = point("good", "text", direction(1)), point("short", "text", [1.0] * (DIM - 1))
    nameless = Point("no uuid", direction(1), good.payload)
    async with opened(vector_engine) as store:
        for bad in (short, nameless):
            with pytest.raises(RowRejected) as refusal:
                await store.upsert([good, bad])
            assert not refusal.value.retryable
        assert await store.count() == 0
        await store.upsert([good])
        assert await store.count() == 1


async def test_whether_the_collection_is_there_is_told_without_making_it(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine, prepared=False) as store:
        assert not await store.fits()
        assert not await store.fits()
        await store.prepare()
        assert await store.fits()


async def test_reads_find_nothing_before_the_collection_is_made(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine, prepared=False) as store:
        assert await store.search("acme", "text", direction(1)) == []
        assert await store.answering("acme", ["key"], 0, 5) == []
        assert (await store.count(), await store.count("acme")) == (0, 0)


async def test_a_collection_of_another_dimension_is_refused(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        await store.upsert([point("a", "text", direction(1))])
        async with opened(vector_engine, DIM * 2, prepared=False) as other:
            with pytest.raises(SettingsError, match="CODEFORGE_EMBEDDINGS_DIM") as refusal:
                await other.prepare()
            with pytest.raises(SettingsError, match="CODEFORGE_EMBEDDINGS_DIM"):
                await other.fits()
        assert await store.fits()
        assert "\n" not in refusal.value.message
        assert await store.count() == 1


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("what do young pets drink from their mother", "cats"),
        ("electricity from the sun", "solar"),
        ("how do I make a loaf myself", "bread"),
        ("monetary policy tightening", "rates"),
    ],
)
async def test_other_words_of_the_same_meaning_find_the_right_page(
    vector_engine: VectorEngine, question: str, page: str
) -> None:
    embedder = WordLlamaEmbedder()
    try:
        vectors = await embedder.embed([question, *PAGES.values()])
    finally:
        await embedder.close()
    async with opened(vector_engine, embedder.dim) as store:
        texts = zip(PAGES.items(), vectors[1:], strict=True)
        await store.upsert([point(key, text, vector) for (key, text), vector in texts])
        assert (await best(store, question, vectors[0]))[0] == page


async def test_a_store_that_was_never_prepared_answers_nothing(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine, prepared=False) as store:
        assert await store.answering("acme", ["k1"], 0, 10) == []


async def test_results_are_found_by_what_they_answer(vector_engine: VectorEngine) -> None:
    async with opened(vector_engine) as store:
        await store.upsert(
            [
                point("old", "words", direction(1), answers="k1", created_at=100),
                point("older", "words", direction(1), answers="k1", created_at=99),
                point("new", "words", direction(1), answers="k2", created_at=200),
                point("newer", "words", direction(1), answers="k1", created_at=300),
                point("other", "words", direction(1), answers="k3", created_at=300),
                point("none", "words", direction(1), created_at=300),
                point("theirs", "words", direction(1), tenant="rival", answers="k1", created_at=300),
            ]
        )
        assert await store.answering("acme", ["k1", "k2"], 100, 10) == ["newer", "new", "old"]
        assert await store.answering("acme", ["k1", "k2"], 100, 1) == ["newer"]
        assert await store.answering("rival", ["k1", "k2"], 100, 10) == ["theirs"]
        assert await store.answering("acme", ["unknown"], 0, 10) == []
