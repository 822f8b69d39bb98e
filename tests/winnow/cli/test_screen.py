import io

from rich.console import Console

from winnow.cli.screen import table


def test_an_id_stays_in_one_piece_and_a_name_in_one_line() -> None:
    text = io.StringIO()
    rows = [("job_01m89t0fgg1c7xpfx0pt5ahtm4", "two\nlines\x1b[31m and more words than there is room for")]
    Console(file=text, width=50).print(table(None, [("id", "left"), ("name", "left")], rows))
    assert "job_01m89t0fgg1c7xpfx0pt5ahtm4   two lines?" in text.getvalue()
