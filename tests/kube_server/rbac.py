"""Permissions: Roles, RoleBindings and the tokens of service accounts."""

import uuid
from typing import Any

from .errors import ApiError, forbidden

ADMIN = "system:admin"


def service_account(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


class Rbac:
    """The rights that manifests grant."""

    def __init__(self, manifests: list[dict[str, Any]], namespace: str) -> None:
        self._tokens = {uuid.uuid4().hex: ADMIN}
        self.accounts = {
            (item["metadata"].get("namespace", namespace), item["metadata"]["name"]): item
            for item in manifests
            if item["kind"] == "ServiceAccount"
        }
        roles = {
            (item["metadata"].get("namespace", namespace), item["metadata"]["name"]): item["rules"]
            for item in manifests
            if item["kind"] == "Role"
        }
        self._rules: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for item in manifests:
            if item["kind"] == "RoleBinding":
                place = item["metadata"].get("namespace", namespace)
                for subject in item["subjects"]:
                    user = service_account(subject.get("namespace", place), subject["name"])
                    self._rules.setdefault((user, place), []).extend(roles[place, item["roleRef"]["name"]])

    def token(self, user: str) -> str:
        """Return a user's token."""
        for token, known in self._tokens.items():
            if known == user:
                return token
        token = uuid.uuid4().hex
        self._tokens[token] = user
        return token

    def user(self, authorization: str) -> str:
        """Return the user whose token is in an Authorization header."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self._tokens:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return self._tokens[token]

    def expire(self) -> None:
        """Let the tokens of all service accounts expire."""
        self._tokens = {token: known for token, known in self._tokens.items() if known == ADMIN}

    def withdraw(self, resource: str, verb: str) -> None:
        """Remove a right from all roles."""
        for rules in self._rules.values():
            for rule in rules:
                if resource in rule["resources"]:
                    rule["verbs"] = [one for one in rule["verbs"] if one != verb]

    def authorize(self, user: str, verb: str, group: str, resource: str, namespace: str) -> None:
        """Refuse a request that no rule allows."""
        if user == ADMIN:
            return
        for rule in self._rules.get((user, namespace), []):
            if group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]:
                return
        raise forbidden(
            f'{resource} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" '
            f'in the namespace "{namespace}"'
        )
