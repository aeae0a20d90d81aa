"""Variables of the environment that look like settings and are none."""

import difflib

from codeforge.settings.environment import prefixed_names
from codeforge.settings.loading import Settings
from codeforge.settings.names import PREFIX, SECRETS_DIR

LIKENESS = 0.85
"""Of two names, from 0 to 1, from which on one is taken for the other, misspelt. Other variables with the prefix are
somebody's own."""


def misspelt_names() -> dict[str, str]:
    """Each such variable, with the setting that was likely meant."""
    names = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields} | {SECRETS_DIR}
    strangers = sorted(prefixed_names() - names)
    meant = {name: difflib.get_close_matches(name, names, n=1, cutoff=LIKENESS) for name in strangers}
    return {name: found[0] for name, found in meant.items() if found}
