"""What changes the service is closed, unless a token is set: then it is open to whoever sends that one."""

from hmac import compare_digest

from starlette.requests import Request

from service.errors import AdminClosed, WrongToken
from service.state import Shared


async def authorise(request: Request) -> None:
    """Let pass who may change the service. Call it before the body is read. Errors as in `check`."""
    check(request.scope["state"]["shared"], request.headers.get("authorization", ""))


def check(shared: Shared, authorization: str) -> None:
    """Let pass who sends the token, in the words of the header `Authorization`.

    Raises:
        AdminClosed: Nobody may: no token is set.
        WrongToken: The caller sends none, or another one.
    """
    token = shared.settings.admin_token
    if token is None:
        raise AdminClosed(
            "this is closed on this server",
            expected="a server with an admin token",
            found="none is set",
            fix="start it with CONVOLVE_ADMIN_TOKEN (16 characters or more), and send that: Authorization: Bearer …",
        )
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not compare_digest(given.strip().encode(), token.get_secret_value().encode()):
        raise WrongToken(
            "this needs the server's admin token",
            expected="Authorization: Bearer, and the token",
            found="another token" if given else "none",
            fix="the token is what the server was started with: CONVOLVE_ADMIN_TOKEN",
        )
