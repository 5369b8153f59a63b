"""What the site is made of at build: pages of models, links of the root's documents. `mkdocs build --strict` itself is in .ci/run."""

from __future__ import annotations

import re

import pytest
from programs import program

from vos_zoo.checkpoints import catalogue

SITE = program("site_pages")


@pytest.mark.parametrize("name", catalogue.names())
def test_a_model_has_a_page_with_its_facts(name):
    page, info = SITE.model_page(name), catalogue.info(name)
    assert page.startswith(f"# {name}\n") and "---\nlibrary_name" not in page
    assert f"| architecture | {info.architecture} |" in page
    assert f"{info.parameters / 1e6:.1f} M" in page
    for metric in info.metrics:
        assert str(metric.get("J&F", metric.get("NoC@85"))) in page
    assert "](example.png)" not in page and ".yaml](" not in page


def test_the_page_of_all_models_links_to_each():
    page = SITE.model_pages()["models/index.md"]
    assert all(f"[`{name}`]({name}.md)" in page for name in catalogue.names())


@pytest.mark.parametrize(
    ("place", "link", "turned"),
    [
        ("weights.md", "../hub_configs/crvos/README.md", "models/crvos.md"),
        ("how-to/train.md", "../../hub_configs/scm/README.md#limits", "../models/scm.md#limits"),
        ("concepts/models.md", "../../ARCHITECTURE.md", "../ARCHITECTURE.md"),
        ("ARCHITECTURE.md", "docs/trials.md#a", "trials.md#a"),
        ("CONTRIBUTING.md", "ARCHITECTURE.md", "ARCHITECTURE.md"),
        ("index.md", "how-to/train.md", "how-to/train.md"),
        ("index.md", "https://example.org/README.md", "https://example.org/README.md"),
    ],
)
def test_links_into_the_repository_are_turned(place, link, turned):
    assert SITE.links_on_site(f"[x]({link})", place) == f"[x]({turned})"


def test_the_help_of_every_command_is_there():
    page = SITE.command_pages()
    assert {"propagate", "list", "evaluate", "train"} <= set(re.findall(r"^## vos-zoo (\w+)", page, flags=re.MULTILINE))
    assert "--no-redetection" in page
