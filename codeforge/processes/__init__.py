"""The background processes: what `codeforge projector` and `codeforge reaper` run."""
