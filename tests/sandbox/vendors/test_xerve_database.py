"""The database of the login-link vendor."""

import sqlite3
import threading
from pathlib import Path

from tests.sandbox.player import Play
from tests.sandbox.vendors.test_xerve import follow, generate


def test_of_many_logins_at_once_one_succeeds(play: Play) -> None:
    """Single use holds under a race."""
    player = play()
    answer = generate(player)
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(follow(player, answer).status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [410] * 7


def test_users_and_tokens_outlive_the_sandbox_in_a_file_without_any_token(play: Play, tmp_path: Path) -> None:
    """SQLite keeps them; tokens are there as hashes only."""
    file = tmp_path / "xerve.sqlite"
    player = play(database=str(file))
    token = generate(player).json["data"]["token"]
    player.sandbox.close()
    assert token.encode() not in file.read_bytes()
    later = play(database=str(file))
    assert later.call("GET", f"/login/{token}").status == 200
    assert generate(later).json["data"]["isNewUser"] is False
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT currency FROM wallets").fetchall() == [("USD",)]
    connection.close()
