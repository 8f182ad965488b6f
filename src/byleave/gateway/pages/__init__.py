"""The pages: what people see and decide, rendered here, readable without JavaScript."""

from __future__ import annotations

from starlette.routing import BaseRoute

from byleave.gateway.pages import (
    agreements,
    cards,
    choices,
    desk,
    grants,
    inbox,
    operator,
    partner,
    person,
    reports,
    titles,
)
from byleave.gateway.pages.consent import question
from byleave.gateway.pages.shell import Context

__all__ = ["Context", "question", "routes"]


def routes(context: Context) -> list[BaseRoute]:
    """Every route of the pages; those for whatever else is under a prefix come last."""
    return [
        *agreements.routes(context),
        *inbox.routes(context),
        *grants.routes(context),
        *choices.routes(context),
        *cards.routes(context),
        *titles.routes(context),
        *person.routes(context),
        *desk.routes(context),
        *partner.routes(context),
        *operator.routes(context),
        *reports.routes(context),
        *desk.rest(context),
    ]
