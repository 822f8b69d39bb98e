"""Keys as an operator makes them, on a service that runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.commands.keys import keys
from tests.app.api.conftest import ONNX
from tests.support.service import service
from winnow.client import Client, ServiceProblem

pytestmark = pytest.mark.integration

SECRET = "5f0c9e1b7a3d2846c0ffee1122334455667788aa"


def test_a_key_that_is_made_beside_a_running_service_opens_it_until_it_is_revoked(tmp_path: Path) -> None:
    folder, file = tmp_path / "var", tmp_path / "admin.key"
    file.write_text(SECRET)
    (tmp_path / "model.onnx").write_bytes(ONNX)

    def ask(*arguments: str) -> str:
        done = CliRunner().invoke(keys, [*arguments, "--data-dir", str(folder)])
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    with service(folder, "--no-workers", WINNOW_AUTH="keys", WINNOW_ADMIN_KEY_FILE=file) as winnow:
        text = ask("create", "--owner", "ada")
        with Client(winnow.url, key=text) as ada, Client(winnow.url, key=SECRET) as admin:
            model = ada.upload_model(tmp_path / "model.onnx", wait=False)
            assert [it.id for it in ada.models()] == [model.id]
            assert list(admin.models()) == []
            listed = [json.loads(line) for line in ask("list", "--json").splitlines()]
            assert sorted(key["owner"] for key in listed) == ["ada", "local"]
            ask("revoke", next(key["id"] for key in listed if key["owner"] == "ada"))
            with pytest.raises(ServiceProblem, match="key_revoked"):
                ada.model(model.id)
        with Client(winnow.url) as stranger, pytest.raises(ServiceProblem, match="WINNOW_KEY"):
            list(stranger.models())


def test_a_service_started_by_hand_is_not_left_open_either(tmp_path: Path) -> None:
    program = "import app.main; app.main.build()"
    environment = os.environ | {"WINNOW_DATA_DIR": str(tmp_path), "WINNOW_HOST": "0.0.0.0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert (done.returncode, "WINNOW_AUTH=keys" in done.stderr) == (1, True)
