//! The built-in modules.

use super::adamix::ADAMIX;
use super::bitfit::BITFIT;
use super::ia3::IA3;
use super::lora::LORA;
use super::module::ModuleRow;
use super::parallel_adapter::PARALLEL_ADAPTER;
use super::prefix::PREFIX;
use super::serial_adapter::SERIAL_ADAPTER;

/// The modules; the initial values of a layer are drawn in this order.
pub const REGISTRY: &[ModuleRow] = &[
    SERIAL_ADAPTER,
    PARALLEL_ADAPTER,
    PREFIX,
    LORA,
    IA3,
    BITFIT,
    ADAMIX,
];
