//! The methods that are built in.

use super::module::MethodRow;
use super::parallel_adapter::PARALLEL_ADAPTER;
use super::prefix::PREFIX;
use super::serial_adapter::SERIAL_ADAPTER;

/// The methods; a layer's fresh values are drawn in this order.
pub const METHODS: &[MethodRow] = &[SERIAL_ADAPTER, PARALLEL_ADAPTER, PREFIX];
