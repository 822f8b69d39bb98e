"""The router of pages: GET and HEAD, guarded as the JSON routes are, and for those alone who ask for HTML."""

from fastapi import Depends

from app.api.router import Router
from app.pages.accept import html_only


def page_router() -> Router:
    """No page stands in the API's document."""
    return Router(include_in_schema=False, dependencies=[Depends(html_only)])
