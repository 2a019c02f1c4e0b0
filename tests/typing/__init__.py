"""What a project writes, for mypy and pyright to read, as ``tests/test_typing.py`` has them do.

Nothing of it runs, but django-stubs' plugin imports the models. A wrong use is marked for both checkers, and each of
them reports a mark that it does not need.
"""
