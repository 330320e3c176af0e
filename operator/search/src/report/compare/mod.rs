//! Several searches side by side: text, page and CSV.

mod csv;
mod fronts;
mod page;
mod picture;
mod progress;
mod rows;
mod terminal;
mod transfer;

pub(super) use csv::csv;
pub(super) use page::html;
pub(super) use terminal::text;
