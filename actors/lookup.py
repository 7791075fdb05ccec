"""What is registered under a URN, also while the manifest's own document is another one."""

from actors.catalog import Catalog
from protocol.errors import NotFoundError
from protocol.record import SAME_DOCUMENT
from protocol.replies import LookupResult
from protocol.snapshots import StateSnapshot


def looked_up(state: StateSnapshot, urn: str) -> LookupResult:
    """Return the content that `state` has registered under `urn`.

    Raises:
        NotFoundError: it was withdrawn between the look into the catalog and this one.
    """
    for one in state.registered:
        if one.urn == urn and not one.withdrawn:
            document = state.document if one.document is SAME_DOCUMENT else one.document
            return LookupResult(
                urn=urn,
                manifest_id=state.manifest_id,
                kind=state.kind,
                state=state.state,
                version=one.version,
                digest=one.digest,
                manifest=document,
            )
    raise _withdrawn(urn, state.manifest_id)


def not_registered(urn: str, catalog: Catalog) -> NotFoundError:
    """Return the refusal for a URN under which nothing is found."""
    owner = catalog.urn_owner(urn)
    if owner is not None:
        return _withdrawn(urn, owner)
    message = f"nothing is registered under {urn}"
    return NotFoundError(message, path="/urn", suggestion="manifestctl list --state REGISTERED")


def _withdrawn(urn: str, manifest_id: str) -> NotFoundError:
    message = f"{urn} was withdrawn; it is the manifest {manifest_id}"
    return NotFoundError(
        message,
        path="/urn",
        suggestion=f"manifestctl get {manifest_id}",
        details={"manifest_id": manifest_id, "withdrawn": True},
    )
