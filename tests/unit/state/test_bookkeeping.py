"""The book-keeping in SQL that Redshift understands too."""

from deftunes.state import bookkeeping
from support.redshift import RecordingConnection


def test_every_statement_parses_as_redshift() -> None:
    connection = RecordingConnection((0, 0, 0, 0))
    bookkeeping.create_tables(connection)  # type: ignore[arg-type]
    connection.answer = (5, 5, 5, 5)  # the tables and the checkpoints are there
    bookkeeping.create_tables(connection)  # type: ignore[arg-type]
    assert sum("unit varchar(65535) not null" in statement for statement in connection.statements) == 1
    bookkeeping.clear_changes(connection, project="digest")  # type: ignore[arg-type]
    connection.assert_redshift(at_least=16)
