"""Rules on what pods may ask of Kubernetes itself."""

from collections.abc import Iterator

from tests.deploy.manifests import Stack, of_kind, pod_of, title, workloads

READ_ONLY = {"get", "list", "watch"}
WRITABLE = {("reaper", "pods", "patch"), ("neo4j-backup", "pods", "delete")}
"""All that anybody may change, by ServiceAccount: the reaper marks busy pods, a backup has Neo4j's pod replaced."""


def _roles_of(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Which ServiceAccount has which role, of which kind."""
    for binding in of_kind(stack, "RoleBinding") + of_kind(stack, "ClusterRoleBinding"):
        for subject in binding.get("subjects", []):
            if subject["kind"] == "ServiceAccount":
                yield subject["name"], binding["roleRef"]["kind"], binding["roleRef"]["name"]


def accounts_with_rights(stack: Stack) -> set[str]:
    """The ServiceAccounts to which any role is bound."""
    return {account for account, _, _ in _roles_of(stack)}


def tokens(stack: Stack) -> Iterator[str]:
    """A pod has a token of its ServiceAccount when that has rights, and no pod else; nobody shares such an account."""
    granted = accounts_with_rights(stack)
    accounts = {item["metadata"]["name"]: item for item in of_kind(stack, "ServiceAccount")}
    used = [pod_of(workload).get("serviceAccountName") for workload in workloads(stack)]
    for workload in workloads(stack):
        pod = pod_of(workload)
        account = pod.get("serviceAccountName")
        default = accounts.get(account, {}).get("automountServiceAccountToken", True)
        if pod.get("automountServiceAccountToken", default) is not (account in granted):
            yield f"{title(workload)}: automountServiceAccountToken, and its account has rights: {account in granted}"
        if account in granted and used.count(account) > 1:
            yield f"{title(workload)}: shares the account {account}, which has rights"
    yield from (f"ServiceAccount/{name} has rights, and no pod uses it" for name in sorted(granted - set(used)))


def roles(stack: Stack) -> Iterator[str]:
    """Roles exist where bound, say what they mean without *, read no Secret, and change what is listed here alone."""
    known = {
        (kind, item["metadata"]["name"]): item for kind in ("Role", "ClusterRole") for item in of_kind(stack, kind)
    }
    for account, kind, name in _roles_of(stack):
        if (kind, name) not in known:
            yield f"{account}: there is no {kind} {name}"
            continue
        for rule in known[kind, name].get("rules", []):
            granted = {(account, what, verb) for what in rule.get("resources", []) for verb in rule["verbs"]}
            for _, what, verb in sorted(granted - WRITABLE):
                if what.partition("/")[0] in {"secrets", "*"} or verb not in READ_ONLY:
                    yield f"{kind}/{name}: {account} may {verb} {what}"
