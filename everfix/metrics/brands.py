"""Brands: how a workspace signs its reports and exports: name, colour and logo."""

from __future__ import annotations

from everfix.documents import model
from everfix.identity.workspaces import Workspace


def of(workspace: Workspace) -> model.Brand:
    """Return the brand of a workspace, as printed."""
    return model.Brand(name=workspace.name, colour=workspace.brand_colour)
