"""The commands of the runtime. They need what the extra ``commands`` brings."""

import sys

try:
    import rich  # noqa: F401
    import typer  # noqa: F401
except ImportError as error:
    # Said here, once for every command, and before one of them can be imported and fail with a traceback.
    print(f"error: {error}: the commands need it; pip install 'microaunet[commands]'", file=sys.stderr)
    raise SystemExit(2) from None
