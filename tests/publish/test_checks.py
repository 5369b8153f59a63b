"""What is checked before anything is published: every refusal names the file or the field, and the fix. No server is needed."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
from PIL import Image
from publishing import FRONT, edit, tiny_checkpoint

from vos_zoo.checkpoints.card import folder_card
from vos_zoo.cli import main
from vos_zoo.errors import CheckpointError, PublishError
from vos_zoo.publish.checkpoint import checkpoint_parcel
from vos_zoo.publish.parcel import Item, checked_repo_id
from vos_zoo.publish.repository import Repository
from vos_zoo.publish.space import space_parcel
from vos_zoo.segmenter import Segmenter


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("saved") / "tiny")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def test_a_sound_folder_passes_and_only_its_files_are_sent(folder):
    Image.new("RGB", (8, 8)).save(folder / "example.png")
    (folder / "recipe.yaml").write_text("seed: 1\n")
    (folder / "LICENSE").write_text("MIT\n")
    (folder / ".DS_Store").write_bytes(b"x")
    parcel = checkpoint_parcel(folder, "me/tiny", load=Segmenter.from_source)
    sent = {"LICENSE", "README.md", "config.json", "example.png", "model.safetensors", "recipe.yaml"}
    assert [item.path for item in parcel.items] == sorted(sent)
    assert parcel.left_out == (".DS_Store",)
    weights = json.loads((folder / "config.json").read_text())["weights"]
    assert f"{weights['bytes']:,}" in parcel.table() and weights["sha256"] in parcel.table() and "not sent: .DS_Store" in parcel.table()
    card = parcel.text("README.md")
    assert 'vos_zoo.load("me/tiny")' in card and "![Frames" in card and "(recipe.yaml)" in card and "(LICENSE)" in card


def test_a_generated_card_gets_the_repository_and_one_written_by_hand_stays(folder):
    (folder / "README.md").write_text(folder_card(folder))
    assert 'load("me/tiny")' in checkpoint_parcel(folder, "me/tiny", load=Segmenter.from_source).text("README.md")
    own = folder_card(folder).replace("## Measured", "## Why\n\nBecause.\n\n## Measured")
    (folder / "README.md").write_text(own)
    assert checkpoint_parcel(folder, "me/tiny", load=Segmenter.from_source).text("README.md") == own


def spoil_card(old: str, new: str):
    def spoil(folder: Path) -> None:
        text = folder_card(folder)
        assert old in text
        (folder / "README.md").write_text(text.replace(old, new))

    return spoil


def sharded_leftover(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "best.pth").write_bytes(pickle.dumps(1)), r"best\.pth .*does not belong[\s\S]*best\.pth is or may hold a pickle"),
        (lambda f: (f / "notes.txt").write_text("x"), r"notes\.txt does not belong to a checkpoint: take it out.*What is sent: config"),
        (lambda f: (f / "old").mkdir() or (f / "old" / "config.json").write_text("{}"), r"old/config\.json does not belong"),
        (lambda f: (f / "LICENSE").symlink_to("/etc/hostname"), r"LICENSE is a link or no plain file: put the file itself"),
        (lambda f: (f / "recipe.yaml").write_text("token: hf_" + "a" * 34), r"recipe\.yaml, line 1, holds what looks like an access token"),
        (lambda f: (f / "recipe.yaml").write_bytes(b"\xff\xfe"), r"recipe\.yaml is not text in UTF-8"),
        (lambda f: (f / "LICENSE").write_text(""), r"LICENSE is empty"),
        (lambda f: (f / "example.png").write_bytes(b"not a picture"), r"example\.png is no picture that can be opened"),
        (sharded_leftover, r"model-00001-of-00002\.safetensors is not what config\.json names \(model\.safetensors\)"),
        (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors, which config\.json names, is not in the folder"),
        (lambda f: edit(f, licence=None), r'has no "licence": say on what terms'),
        (lambda f: edit(f, description=""), r'has no "description"'),
        (lambda f: edit(f, training={}), r'has no "training": \{"data": \.\.\.\}: say what the weights were trained on'),
        (lambda f: edit(f, weights=None) or (f / "model.safetensors").unlink(), r'has no "weights": save the model'),
        (lambda f: edit(f, parameters=7), r'says "parameters": 7, the model has [\d,]+: correct it'),
        (
            lambda f: edit(f, metrics=[{"dataset": "d", "split": "v", "command": "c", "J": 170}]),
            r"metrics of 'd': J must be percentages from 0 to 100",
        ),
        (
            lambda f: edit(f, training={"data": "x", "note": "hf_" + "b" * 34}),
            r"config\.json, line 1, holds what looks like an access token",
        ),
        (spoil_card("---\n", "--\n"), r"README\.md has no metadata between"),
        (spoil_card('license: "mit"\n', ""), r"README\.md: its metadata lack license"),
        (spoil_card('"vos_zoo"\npipe', '"timm"\npipe'), r"must say library_name: vos_zoo, not 'timm'"),
        (spoil_card("## Limits and bias", "## Praise"), r'README\.md is not complete: it has no section "Limits and bias"'),
        (spoil_card("value: 50.5", "value: 99.5"), r"J&F 99\.5 on 'drawings' stands in model-index but not among the metrics"),
        (spoil_card("    results:", "    resluts:"), r"README\.md: its metadata are not valid \(.*results"),
    ],
)
def test_what_is_refused_and_how_it_is_put_right(folder, spoil, message):
    spoil(folder)
    with pytest.raises(PublishError, match=message) as caught:
        checkpoint_parcel(folder, "me/tiny", load=Segmenter.from_source)
    assert "nothing was sent" in str(caught.value) and "hf_a" not in str(caught.value) and "hf_b" not in str(caught.value)


def test_weights_that_are_not_the_configs_are_refused(folder, tmp_path):
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="is not the file that its config describes"):
        checkpoint_parcel(folder, "me/tiny", load=Segmenter.from_source)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(PublishError, match=r"holds no config\.json, so it is no checkpoint"):
        checkpoint_parcel(tmp_path, "me/tiny", load=Segmenter.from_source)


@pytest.mark.parametrize("repo_id", ["tiny", "me/tiny/more", "", "me/ti ny", "https://huggingface.co/me/tiny", None])
def test_a_repository_is_owner_and_name(repo_id):
    with pytest.raises(PublishError, match="is no repository: give owner/name"):
        checked_repo_id(repo_id)


def test_git_names_a_blob_as_git_does():
    assert Item.of("hello.txt", b"hello\n").git_blob() == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object


def test_a_dry_run_prints_everything_and_needs_no_network(folder, capsys):
    assert main(["push", str(folder), "--repo-id", "me/tiny", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out and 'vos_zoo.load("me/tiny")' in out and "nothing was sent" in out
    assert main(["push", str(folder), "--repo-id", "me/tiny"]) == 2  # tests run with HF_HUB_OFFLINE=1
    assert "HF_HUB_OFFLINE=1 forbids publishing" in capsys.readouterr().err
    assert main(["push", "--repo-id", "me/tiny"]) == 2
    assert "what is to be published? Give the folder" in capsys.readouterr().err


def test_offline_no_repository_is_opened():
    with pytest.raises(PublishError, match="HF_HUB_OFFLINE=1 forbids publishing"):
        Repository("me/tiny", "model", "hf_x")


@pytest.fixture
def space(tmp_path: Path) -> Path:
    folder = tmp_path / "space"
    (folder / "examples").mkdir(parents=True)
    (folder / "README.md").write_text(FRONT, encoding="utf-8")
    (folder / "app.py").write_text("import gradio\n")
    (folder / "requirements.txt").write_text("# pinned\nvos_zoo[demo]==0.1.0\ntorch==2.9.0 ; python_version > '3.9'\n")
    (folder / "packages.txt").write_text("ffmpeg\n")
    Image.new("RGB", (8, 8)).save(folder / "examples" / "a.png")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "app.pyc").write_bytes(b"x")
    return folder


def test_a_space_is_exactly_its_files(space):
    parcel = space_parcel(space, "me/space")
    assert sorted(item.path for item in parcel.items) == ["README.md", "app.py", "examples/a.png", "packages.txt", "requirements.txt"]
    assert parcel.left_out == ("__pycache__/app.pyc",) and (parcel.kind, parcel.sdk) == ("space", "gradio")


def test_a_static_space_needs_no_python_but_its_first_page(space):
    for name in ("app.py", "requirements.txt", "packages.txt"):
        (space / name).unlink()
    front = FRONT.replace("sdk: gradio", "sdk: static").replace('sdk_version: "6.31.0"\n', "").replace("app.py", "index.html")
    (space / "README.md").write_text(front, encoding="utf-8")
    with pytest.raises(PublishError, match=r"app_file 'index\.html' is not among the files"):
        space_parcel(space, "me/space")
    (space / "index.html").write_text("<!doctype html>\n")
    parcel = space_parcel(space, "me/space")
    assert sorted(item.path for item in parcel.items) == ["README.md", "examples/a.png", "index.html"]
    assert parcel.sdk == "static"


def test_the_page_without_a_server_is_asked_for_as_a_space_and_its_name_is_checked_before_it_is_built(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["push", "--browser", "--repo-id", "me/page"]) == 2
    assert "say which, --space owner/name" in capsys.readouterr().err
    assert main(["push", "--browser", "--space", "page"]) == 2
    assert "give owner/name" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def front(old: str, new: str):
    assert old in FRONT
    return lambda folder: (folder / "README.md").write_text(FRONT.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (front("title: Video object segmentation\n", ""), r"front matter: title is missing"),
        (front("colorFrom: blue", "colorFrom: azure"), r"colorFrom must be one of red.*not 'azure'"),
        (front("sdk: gradio", "sdk: streamlit"), r"sdk must be gradio or static, not 'streamlit'"),
        (front('"6.31.0"', "6.31"), r"sdk_version must be a whole version in quotes such as '6\.31\.0', not 6\.31"),
        (front("app_file: app.py", "app_file: main.py"), r"app_file 'main\.py' is not among the files"),
        (front("Mark an object, get its masks", "m" * 61), r"short_description has more than 60"),
        (front("[me/crvos]", "[crvos]"), r"models: 'crvos' must be owner/name"),
        (front('"3.11"', '"2.7"'), r"python_version must be such as '3\.11'"),
        (lambda f: (f / "README.md").write_text("# none\n"), r"has no front matter"),
        (lambda f: (f / "requirements.txt").unlink(), r"there is no requirements\.txt"),
        (lambda f: (f / "requirements.txt").write_text("torch\n"), r"line 1: 'torch' is not pinned\. Write name==1\.2\.3"),
        (lambda f: (f / "requirements.txt").write_text("torch>=2\n"), r"'torch>=2' is not pinned"),
        (lambda f: (f / "requirements.txt").write_text("vos_zoo @ git+https://x.org/a@main\n"), r"is not pinned"),
        (
            lambda f: (f / "requirements.txt").write_text("gradio==5.0.0\n"),
            r"gradio 5\.0\.0 is not the front matter's sdk_v",
        ),
        (lambda f: (f / "packages.txt").write_text("ffmpeg libx264\n"), r"packages\.txt, line 1: .* is no name of a Debian package"),
        (lambda f: (f / "app.py").write_text("def ("), r"app\.py is not valid Python"),
        (lambda f: (f / "app.py").write_text("TOKEN = 'hf_" + "a" * 34 + "'"), r"app\.py, line 1, holds what looks like an access token"),
        (lambda f: (f / "data.pkl").write_bytes(b"x"), r"data\.pkl is or may hold a pickle"),
        (lambda f: (f / "link").symlink_to("/etc"), r"link is a link or no plain file"),
    ],
)
def test_a_space_that_would_not_run_is_refused(space, spoil, message):
    spoil(space)
    with pytest.raises(PublishError, match=message):
        space_parcel(space, "me/space")


def test_the_demo_may_be_sent():
    demo = Path(__file__).resolve().parents[2] / "demo"
    if not (demo / "README.md").is_file():
        pytest.skip("there is no demo folder here")
    sent = {item.path for item in space_parcel(demo, "me/space").items}
    assert {"README.md", "app.py", "requirements.txt"} <= sent and not any("__pycache__" in path for path in sent)


def test_a_wheel_or_a_commit_is_a_pin(space):
    (space / "requirements.txt").write_text(f"vos_zoo[demo] @ git+https://x.org/a@{'0' * 40}\nb @ https://x.org/b-1-py3-none-any.whl\n")
    assert space_parcel(space, "me/space").items
