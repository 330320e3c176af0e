//! The cells of a configuration in the tables of the page.

use autopeft_crds::PeftConfiguration;
use maud::{Markup, html};

use super::view::View;

/// The headings.
pub(super) fn configuration_head(view: &View<'_>) -> Markup {
    html! {
        th { "Layers" }
        @for module in view.modules() {
            th.number { (module.symbol) }
        }
    }
}

/// The layers and the sizes.
pub(super) fn configuration_cells(view: &View<'_>, configuration: &PeftConfiguration) -> Markup {
    html! {
        td.mask { (configuration.layers) }
        @for module in view.modules() {
            td.number { (configuration.size(module.module)) }
        }
    }
}
