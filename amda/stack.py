"""Room on the interpreter's stack for whatever answers a request.

CPython keeps the frames of Python functions in blocks of 16 KiB and, before 3.15 and the later
releases of 3.13 and 3.14, gives a block back as soon as the last frame in it ends
(github.com/python/cpython, issue 142183). A page is drawn by short calls in loops, a hundred calls
deep: where such a loop happens to stand at the end of a block, each of its calls asks the system
for memory. On the inbox's list that was a quarter of the page's time. A frame that is too wide for
any block gets one of its own, and whatever it calls finds room there.
"""

from collections.abc import Callable
from types import FunctionType
from typing import cast

from django.http import HttpRequest, HttpResponse

# In words of 8 bytes. The block is the first of 16, 32, 64… KiB that has room for this and 1,000
# words more: 128 KiB, of which 63 are left for the calls inside.
_WIDTH = 8200

Answer = Callable[[HttpRequest], HttpResponse]


def middleware(get_response: Answer) -> Answer:
    """Answer inside a wide frame; last of all, as whatever stands between may be another thread."""

    def answer(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    wide = answer.__code__.replace(co_stacksize=_WIDTH)
    return cast(Answer, FunctionType(wide, globals(), closure=answer.__closure__))
