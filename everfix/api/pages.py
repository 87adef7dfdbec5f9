"""Pages of lists, as the routes of the API import them; the code stands lower, since pages for people walk lists the same way."""

from everfix.pages import PageInfo, PageOf, Sorts, page, total

__all__ = ("PageInfo", "PageOf", "Sorts", "page", "total")
