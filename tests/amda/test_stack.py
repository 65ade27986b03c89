"""Room on the interpreter's stack."""

from django.http import HttpResponse
from django.test import RequestFactory

from amda import stack


def test_stack_middleware_hands_on_what_it_is_given():
    def page(request):
        return HttpResponse(request.path)

    answer = stack.middleware(page)(RequestFactory().get("/inbox/"))

    assert answer.content == b"/inbox/"


def test_stack_middleware_answers_in_a_frame_wider_than_a_block():
    wide = stack.middleware(HttpResponse)

    assert wide.__code__.co_stacksize * 8 > 16 * 1024
