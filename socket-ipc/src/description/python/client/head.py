# [about]

from __future__ import annotations

import asyncio
import collections
import contextlib
import inspect
import itertools
import json
import logging
import math
import random
import re
import sys
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Optional, TypedDict, TypeVar, Union, cast, overload

if sys.version_info >= (3, 11):
    from typing import NotRequired
elif TYPE_CHECKING:
    from typing_extensions import NotRequired  # type checkers know it; nothing has to be installed

# [types]

# What the server says of itself.
# [server]

_T = TypeVar("_T")
_logger = logging.getLogger("socket_ipc")

# The limits of the client in Rust: seconds and bytes.
_REQUEST_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 5.0
_RETRY_DELAY = (1.0, 1.25)
_RECONNECT_DELAY = (0.1, 0.2)
_INCOMPLETE_TIMEOUT = 30.0
_WRITE_STALL = 10.0
_DRAIN = 5.0
_MAX_REQUESTS = 1024
_MAX_EVENTS = 256
_MAX_ID_LEN = 64
_HIGH_WATER = 64 * 1024
_READ_AHEAD = 1024 * 1024
_STREAM_WINDOW = 256 * 1024
_ITEM_COST = 64
