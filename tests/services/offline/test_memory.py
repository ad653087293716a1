from pathlib import Path

import pytest

from services.offline.memory import NotEnoughMemoryError, available_bytes, check_memory


def test_the_smaller_of_machine_and_container_counts(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16000 kB\nMemAvailable:   8000 kB\n")
    assert available_bytes(meminfo, tmp_path) == 8000 * 1024
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 500000\n")
    assert available_bytes(meminfo, tmp_path) == 2_500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(meminfo, tmp_path) == 8000 * 1024


def test_nothing_is_refused_where_nothing_tells(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "absent", tmp_path) is None
    check_memory(1e15, None)


def test_a_refusal_names_both_figures() -> None:
    check_memory(2e9, 2_000_000_000)
    with pytest.raises(NotEnoughMemoryError, match=r"2\.50 GB of memory and 900 MB are available"):
        check_memory(2.5e9, 900_000_000)
