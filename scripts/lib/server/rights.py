"""The rights that a Tator user has in a project, as Tator names them."""

VIEW, EDIT, TRANSFER, EXECUTE, FULL = PERMISSIONS = (
    "View Only",
    "Can Edit",
    "Can Transfer",
    "Can Execute",
    "Full Control",
)
# A site with TATOR_FINE_GRAIN_PERMISSION returns addresses of single files only to users with Full Control.
TRANSFER_ANYWHERE = f"{TRANSFER} (where the site has fine-grained permissions: {FULL})"


def may(permission: str, needed: str) -> bool:
    """Return whether a permission includes another one; Creator, that of the project's creator, includes all."""
    if permission == "Creator":
        return True
    return permission in PERMISSIONS and PERMISSIONS.index(permission) >= PERMISSIONS.index(needed)
