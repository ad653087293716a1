import os

from services.inference.status import StatusFile, read_statuses


def test_a_status_is_read_as_it_was_written_last(tmp_path):
    file = StatusFile(tmp_path, "worker-1")
    file.update(state="processing", n_done=3, last_error="none of ours")

    (status,) = read_statuses(tmp_path)
    assert status == file.status
    assert (status.name, status.pid, status.n_done) == ("worker-1", os.getpid(), 3)
    assert status.updated_at >= status.started_at


def test_a_living_worker_beats_and_not_all_the_time(tmp_path):
    file = StatusFile(tmp_path, "worker-1")
    written_at = file.status.updated_at
    file.beat(every_s=60.0)
    assert file.status.updated_at == written_at
    file.beat(every_s=0.0)
    assert file.status.updated_at > written_at


def test_files_of_others_and_odd_names_do_no_harm(tmp_path):
    (tmp_path / "stack.json").write_text('{"pid": 1, "processes": {}}')
    (tmp_path / "broken.json").write_text('{"name": "wor')
    (tmp_path / "list.json").write_text("[1]")
    StatusFile(tmp_path, "../../worker of mine")

    assert [status.name for status in read_statuses(tmp_path)] == ["../../worker of mine"]
    assert read_statuses(tmp_path / "missing") == []
