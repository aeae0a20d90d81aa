"""All settings, and the only reader of the environment.

Every field is read from `CODEFORGE_<NAME>`; the names in `BARE_NAMES`, which existing deployments already use, are
read without the prefix too (the prefixed one wins). `CODEFORGE_SECRETS_DIR` names a directory of files, each called
after a setting (no prefix, any case) and holding its value, for what is in no variable. Times are in seconds unless
the name says otherwise.
"""

from codeforge.settings.admission import EVERY_TENANT
from codeforge.settings.environment import process_environment, settings_environment
from codeforge.settings.listening import require_port
from codeforge.settings.loading import Settings, load_settings
from codeforge.settings.misspelt import misspelt_names
from codeforge.settings.names import BARE_NAMES, PREFIX, SECRETS_DIR
from codeforge.settings.values import is_loopback
from codeforge.settings.web import WebSettings

__all__ = [
    "BARE_NAMES",
    "EVERY_TENANT",
    "PREFIX",
    "SECRETS_DIR",
    "Settings",
    "WebSettings",
    "is_loopback",
    "load_settings",
    "misspelt_names",
    "process_environment",
    "require_port",
    "settings_environment",
]
