"""A child process for suspects of such a worker."""

import workers.suspects
from tests.faults.breaking_points import install

if __name__ == "__main__":
    install()
    workers.suspects.main()
