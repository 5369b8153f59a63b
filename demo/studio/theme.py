"""The page's own look: colours, type, spacing, light and dark. Fonts are those of the visitor's system: nothing is fetched."""

from __future__ import annotations

import gradio as gr

_INK = gr.themes.Color(
    "#fafaf7", "#f3f3ee", "#e6e6df", "#d2d3ca", "#a5a89f", "#767b74", "#575c57", "#3d423f", "#282c2a", "#191c1b", "#101312", name="ink"
)
_POND = gr.themes.Color(
    "#eefaf7", "#d5f2eb", "#ace4d8", "#7bd0c0", "#48b5a3", "#219888", "#0d7a6e", "#0b6259", "#0c4f49", "#0d413d", "#05211f", name="pond"
)


def looks() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=_POND,
        secondary_hue=_POND,
        neutral_hue=_INK,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"],
        font_mono=["ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_300",
        block_shadow="none",
        block_radius="12px",
        container_radius="12px",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
        button_cancel_background_fill="*neutral_800",
        button_cancel_background_fill_hover="*neutral_700",
        button_cancel_background_fill_dark="*neutral_200",
        button_cancel_background_fill_hover_dark="*neutral_300",
        button_cancel_text_color="white",
        button_cancel_text_color_dark="*neutral_950",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        checkbox_background_color_selected_dark="*primary_500",
        checkbox_border_color_selected_dark="*primary_500",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


def scroll_to(element: str) -> str:
    """JavaScript that brings a part of the page into view, gently unless the visitor asked for no motion."""
    return (
        f"() => document.getElementById('{element}')?.scrollIntoView({{block: 'start', behavior: "
        "matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth'})"
    )


def fold(folded: bool, finished: bool = False) -> str:
    """JavaScript that folds the second step away while a run works and beside its result, or unfolds it."""
    return (
        "() => { const names = document.getElementById('vz-mark').classList; "
        f"names.toggle('vz-folded', {str(folded).lower()}); names.toggle('vz-finished', {str(finished).lower()}); }}"
    )
