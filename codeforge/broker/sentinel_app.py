"""The Celery application of programs that only watch, behind Sentinel: `celery -A codeforge.broker.sentinel_app`.

A broker's URL has no place for what kombu must know of the Sentinels; an application has.
"""

from codeforge.broker.app import make_app
from codeforge.settings import load_settings
from codeforge.worker_types import WorkerType

app = make_app(load_settings(), list(WorkerType))  # the command line finds it by this name
