"""Files as people and programs write them, row by row."""

import pytest

from messaging.importing.rows import BadFile, Row, Source

COLUMNS = ("id", "name", "sent_at", "text")
HEADER = "id,name,sent_at,text"
AWA = Row(2, {"id": "1", "name": "Awa", "sent_at": "2024-01-01", "text": "Bonjour"})


def read(path, **options):
    with Source(path, COLUMNS, **options) as source:
        return list(source.rows())


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        ((HEADER, "1,Awa,2024-01-01,Bonjour"), {}),
        ((HEADER, "1,Awa,2024-01-01,Bonjour"), {"encoding": "utf-8-sig"}),
        ((HEADER, "1,Awa,2024-01-01,Bonjour"), {"ends": "\r\n"}),
        ((HEADER.replace(",", ";"), "1;Awa;2024-01-01;Bonjour"), {}),
        ((HEADER.replace(",", "\t"), "1\tAwa\t2024-01-01\tBonjour"), {}),
        (("ID, Name ,sentAt,TEXT", '"1","Awa","2024-01-01","Bonjour"'), {}),
    ],
    ids=["plain", "bom", "crlf", "semicolons", "tabs", "quoted"],
)
def test_csv_is_read_in_every_form(write, lines, options):
    assert read(write(*lines, **options)) == [AWA]


def test_json_lines_are_read_whatever_they_hold(write):
    path = write(
        '{"id": 1, "name": "Awa", "sentAt": "2024-01-01", "text": "Bonjour"}',
        "",
        '{"id": 2, "name": null, "sent_at": 1704100000, "text": ["a", "b"]}',
        '{"id": 3, "text": {}}',
        '{"id": 4, "colour": "red"}',
        '{"id": 5',
        "7",
    )

    assert read(path) == [
        Row(1, AWA.values),
        Row(3, {"id": "2", "name": "", "sent_at": "1704100000", "text": "a, b"}),
        Row(4, complaint="text: this is neither text nor a number"),
        Row(5, complaint="unknown members: colour"),
        Row(6, complaint="this is no JSON (JSONDecodeError)"),
        Row(7, complaint="this is no JSON object"),
    ]


def test_quotes_lines_and_commas_in_quotes_stay_and_a_row_is_called_by_its_first_line(write):
    rows = read(write(HEADER, '1,"Awa ""A"", Dakar",,"one\ntwo"', "", "2,Koffi,,three"))

    assert [(row.line, row["name"], row["text"]) for row in rows] == [
        (2, 'Awa "A", Dakar', "one\ntwo"),
        (5, "Koffi", "three"),
    ]


def test_row_that_cannot_be_read_leaves_the_others(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [HEADER.encode(), b"1,Aw\xe9,,a", b"2,Awa,,b,c,d", b"3,Awa\0,,e"]
    path.write_bytes(b"\n".join(lines))

    assert read(path) == [
        Row(2, complaint="name: this is not in the encoding of the file"),
        Row(3, complaint="6 fields where the header has 4"),
        Row(4, {"id": "3", "name": "Awa\ufffd", "sent_at": "", "text": "e"}),
    ]
    assert read(path, encoding="cp1252")[0]["name"] == "Awé"


def test_columns_are_renamed_and_left_out_on_demand(write):
    path = write("Nom complet;Ville;Message", "Awa;Dakar;Bonjour")

    rows = read(path, renamed={"Nom complet": "name", "Message": "text"}, skips_unknown=True)

    assert rows == [Row(2, {"name": "Awa", "text": "Bonjour"})]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (("",), "the file is empty"),
        ((HEADER + ",colour", "1,2,3,4,5"), "unknown columns: colour"),
        ((HEADER + ",Text", "1,2,3,4,5"), "columns named twice: text"),
        ((HEADER, '1,"Awa'), "line 2: unexpected end of data"),
        (("[", '{"id": 1}', "]"), "one JSON object on each line"),
    ],
)
def test_file_that_cannot_be_read_says_why(write, lines, complaint):
    with pytest.raises(BadFile, match=complaint):
        read(write(*lines))


def test_quote_that_never_ends_does_not_swallow_the_rest_of_a_large_file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f'{HEADER}\n1,Awa,,a\n2,"Awa\n' + "3,Awa,,a\n" * 200_000)

    with Source(path, COLUMNS) as source:
        with pytest.raises(BadFile, match="field larger than"):
            list(source.rows())
        assert source.percent < 50


def test_missing_file_is_named(tmp_path):
    with pytest.raises(BadFile, match="No such file"):
        Source(tmp_path / "nothing.csv", COLUMNS)
