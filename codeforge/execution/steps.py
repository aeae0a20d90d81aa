"""What steps that are no model call leave in the journal."""

from codeforge.results import Page, ResultModel


class JournaledFailure(ResultModel):
    """A fetch that failed for good, as the journal keeps it: a replay must not fetch again and find otherwise."""

    code: str
    message: str
    url: str


class FetchStep(ResultModel):
    """What a fetch step left: a page or a failure."""

    page: Page | None = None
    failure: JournaledFailure | None = None


class SitemapStep(ResultModel):
    """What a look at a sitemap left."""

    urls: list[str]
