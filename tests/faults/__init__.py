"""The fault suite: real processes under load, broken on purpose, and every task and paid call accounted for."""
