"""Principals: who calls, with which scopes; the roles and what each of them may."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator

from everfix.errors import Forbidden


class Scope(StrEnum):
    """What a token may do, `thing:verb`, alphabetised."""

    AUDIT_READ = "audit:read"
    CONNECTORS_ADMIN = "connectors:admin"
    CONNECTORS_READ = "connectors:read"
    GOVERNANCE_READ = "governance:read"
    GOVERNANCE_WRITE = "governance:write"
    INGEST_WRITE = "ingest:write"
    ISSUES_READ = "issues:read"
    ISSUES_WRITE = "issues:write"
    MEMBERS_ADMIN = "members:admin"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    ML_READ = "ml:read"
    ML_WRITE = "ml:write"
    PATTERNS_READ = "patterns:read"
    PATTERNS_WRITE = "patterns:write"
    PREDICTIONS_READ = "predictions:read"
    PREDICTIONS_WRITE = "predictions:write"
    RECOMMENDATIONS_READ = "recommendations:read"
    RECOMMENDATIONS_WRITE = "recommendations:write"
    REPORTS_READ = "reports:read"
    REPORTS_WRITE = "reports:write"
    WEBHOOKS_ADMIN = "webhooks:admin"
    WEBHOOKS_READ = "webhooks:read"
    WORKSPACE_ADMIN = "workspace:admin"
    WORKSPACE_COMPLIANCE_READ = "workspace.compliance:read"
    WORKSPACE_COMPLIANCE_WRITE = "workspace.compliance:write"
    WORKSPACE_READ = "workspace:read"
    WORKSPACE_WRITE = "workspace:write"


class Role(StrEnum):
    """A member's role; each may all that the one before it may."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


ROLE_ALIASES = {"read_only": Role.VIEWER, "executive": Role.VIEWER, "editor": Role.ANALYST, "tenant_admin": Role.ADMIN}
RoleInput = Annotated[Role, BeforeValidator(lambda value: ROLE_ALIASES.get(value, value) if isinstance(value, str) else value)]

_VIEWER = frozenset(
    {
        Scope.ISSUES_READ,
        Scope.ML_READ,
        Scope.PATTERNS_READ,
        Scope.PREDICTIONS_READ,
        Scope.RECOMMENDATIONS_READ,
        Scope.REPORTS_READ,
        Scope.CONNECTORS_READ,
        Scope.WORKSPACE_READ,
        Scope.MEMBERS_READ,
    }
)
_ANALYST = _VIEWER | {
    Scope.ISSUES_WRITE,
    Scope.ML_WRITE,
    Scope.PATTERNS_WRITE,
    Scope.PREDICTIONS_WRITE,
    Scope.RECOMMENDATIONS_WRITE,
    Scope.REPORTS_WRITE,
    Scope.CONNECTORS_ADMIN,
    Scope.INGEST_WRITE,
}
_ADMIN = frozenset(Scope)
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {Role.VIEWER: _VIEWER, Role.ANALYST: _ANALYST, Role.ADMIN: _ADMIN, Role.OWNER: _ADMIN}


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. Every call resolves to exactly one workspace; a person's scopes never exceed the role's."""

    kind: str  # user | service_account | system
    actor_id: UUID | None
    name: str
    workspace: UUID
    scopes: frozenset[Scope]
    role: Role | None = None
    token_id: UUID | None = None
    ip: str = ""
    trace_id: str = ""

    def require(self, scope: Scope) -> None:
        """Raise Forbidden, naming the scope, unless this principal has it."""
        if scope not in self.scopes:
            raise Forbidden(f"this call needs the scope {scope.value}")


def system(workspace: UUID, name: str = "Everfix") -> Principal:
    """Return the principal of work that nobody asked for by hand."""
    return Principal("system", None, name, workspace, frozenset(Scope))
