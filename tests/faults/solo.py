"""One attempt of such a worker in a process of its own."""

import workers.solo
from tests.faults.breaking_points import install

if __name__ == "__main__":
    install()
    workers.solo.main()
