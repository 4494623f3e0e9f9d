"""Nobody logs in: everybody is the same visitor, and no cookie tells them apart."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User


class Anybody(IdentityProvider):
    """An identity for whoever comes, without a cookie or a token."""

    def get_user(self, handler: Any) -> User:
        """The one user there is."""
        return User("visitor")

    def get_handlers(self) -> list[Any]:
        """No login, no logout."""
        return []
