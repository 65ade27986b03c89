"""Where a place is, read from what people paste."""

import pytest

from messaging import coordinates

MAPS = "https://www.google.com/maps"
PINNED = (
    f"{MAPS}/place/Tour+Eiffel/@48.8,2.2,17z/data=!4m6!3m5!8m2!3d48.8583701!4d2.2944813!16zL20v"
)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("14.6937, -17.4441", (14.6937, -17.4441)),
        ("14.6937 −17.4441", (14.6937, -17.4441)),
        ("14,6937; -17,4441", (14.6937, -17.4441)),
        ("14,6937, -17,4441", (14.6937, -17.4441)),
        ("(14.6937, -17.4441)", (14.6937, -17.4441)),
        ("14.6937° N, 17.4441° W", (14.6937, -17.4441)),
        ("17,4441 O 14,6937 N", (14.6937, -17.4441)),
        ("Latitude : 14.6937 / Longitude : -17.4441", (14.6937, -17.4441)),
        ("48°51'24\"N 2°21′08″E", (48.8566667, 2.3522222)),
        ("33°51′S, 151°12′E", (-33.85, 151.2)),
        ("48, 2", (48, 2)),
        (PINNED, (48.8583701, 2.2944813)),
        (f"Ici : {MAPS}?q=14.69,-17.44 à 10 h", (14.69, -17.44)),
        (f"{MAPS}?q=loc:14.69,-17.44", (14.69, -17.44)),
        (f"{MAPS}/search/?api=1&query=14.69%2C-17.44", (14.69, -17.44)),
        (f"{MAPS}/search/14.69,+-17.44?entry=tts", (14.69, -17.44)),
        (f"{MAPS}/@14.69,-17.44,17z", (14.69, -17.44)),
        (f"{MAPS}/dir/14.1,-17.1/14.69,-17.44/@14.3,-17.3,9z", (14.69, -17.44)),
        ("https://www.openstreetmap.org/?mlat=14.69&mlon=-17.44#map=9/1/2", (14.69, -17.44)),
        ("https://www.openstreetmap.org/#map=17/14.69/-17.44", (14.69, -17.44)),
        ("https://waze.com/ul?ll=14.69%2C-17.44&navigate=yes", (14.69, -17.44)),
        ("https://bing.com/maps?cp=14.69~-17.44", (14.69, -17.44)),
        ("geo:14.69,-17.44?z=10", (14.69, -17.44)),
    ],
)
def test_point_is_read_as_people_and_maps_write_it(text, point):
    found = coordinates.read(text)

    assert (found.latitude, found.longitude) == point


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12 rue de Paris",
        "48,2",
        "95.1, 2.3",
        "1.5, 2.5, 3.5",
        "14.69 N, 17.44 N",
        "https://maps.app.goo.gl/abcdef",
        "https://example.org/?q=Dakar",
        "http://[::1",
    ],
)
def test_what_names_no_point_is_none(text):
    assert coordinates.read(text) is None


@pytest.mark.parametrize(
    ("link", "name"),
    [
        (PINNED, "Tour Eiffel"),
        ("https://maps.apple.com/?ll=14.69,-17.44&q=Chez%20Awa", "Chez Awa"),
        ("geo:0,0?q=14.69,-17.44(Chez%20Awa)", "Chez Awa"),
        (f"{MAPS}?q=14.69,-17.44", ""),
        (f"{MAPS}/place/48%C2%B051'24.0%22N+2%C2%B021'08.0%22E/@48.8,2.3,9z", ""),
    ],
)
def test_name_comes_from_the_link(link, name):
    assert coordinates.read(link).name == name
