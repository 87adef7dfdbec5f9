"""`/v1/settings/delivery`: whom this workspace sends mail to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from everfix.delivery import addresses, targets
from everfix.deps import Db, needs
from everfix.identity import workspaces
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/settings/delivery", tags=["delivery"])


class DeliverySettings(BaseModel):
    """`mail_domains`: mail goes to addresses in these domains and below them only; an empty list allows all."""

    model_config = ConfigDict(extra="forbid")

    mail_domains: list[Annotated[str, AfterValidator(addresses.domain)]] = Field(max_length=targets.MOST_DOMAINS)


@router.get("")
def read(db: Db, who: Annotated[Principal, needs(Scope.REPORTS_READ)]) -> DeliverySettings:
    """Whom mail may go to."""
    return DeliverySettings(mail_domains=workspaces.here(db).mail_domains)


@router.patch("")
def change(db: Db, who: Annotated[Principal, needs(Scope.WORKSPACE_WRITE)], body: DeliverySettings) -> DeliverySettings:
    """Change it; what is queued for another domain is left out when its turn comes."""
    return DeliverySettings(mail_domains=targets.allow(db, who, body.mail_domains))
